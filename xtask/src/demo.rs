//! The main job, once, for everybody to see: two namespaces, a reflector in one, a measurement from the other, its
//! report, and nothing left behind, whatever happens in between.

mod interrupts;
mod traces;

use std::collections::BTreeSet;
use std::process::Command;

use interrupts::Interrupts;

use crate::command::{run, say, shown};
use crate::error::Error;
use crate::{setup, test, workspace};

/// What the demo measures: from the lab's sender to its reflector, with two streams.
const MEASURE: [&str; 10] = [
    "measure",
    "198.18.0.2",
    "--interface",
    "probe0",
    "--duration",
    "5s",
    "--stream",
    "schedule=periodic,rate=100kpps",
    "--stream",
    "schedule=poisson,rate=10kpps",
];

/// Sets up, builds, measures in the lab, and removes the lab.
pub(crate) fn demo() -> Result<(), Error> {
    setup::prepare()?;
    say("building leadline (some minutes the first time)");
    run(&mut test::build_leadline())?;
    if !workspace::is_root() {
        return Err(by_hand()?);
    }

    let interrupts = Interrupts::hold()?;
    let outcome = measure_in_the_lab();
    interrupts.release()?;
    outcome
}

fn measure_in_the_lab() -> Result<(), Error> {
    // What an earlier demo left when it was killed is not this one's.
    run(&mut leadline(&["lab", "down"])?)?;
    let before = traces::look();

    say("making the lab: two namespaces, one veth pair, a reflector");
    let outcome = run(&mut leadline(&["lab", "up"])?).and_then(|()| {
        let mut measure = measurement()?;
        say(&format!("measuring for 5 seconds: {}", shown(&measure)));
        run(&mut measure)
    });
    say("removing the lab");
    let removed = run(&mut leadline(&["lab", "down"])?);
    let cleared = look_for_traces(&before);
    outcome.and(removed).and(cleared)
}

/// Compares with what was there before the lab, and says what it found, however the measurement went.
fn look_for_traces(before: &BTreeSet<String>) -> Result<(), Error> {
    let left: Vec<String> = traces::look().difference(before).cloned().collect();
    if left.is_empty() {
        say("nothing is left: no namespace, no interface, no process, no program");
        return Ok(());
    }
    say(&format!("left behind: {}", left.join(", ")));
    Err(Error::LeftBehind(left))
}

fn leadline(arguments: &[&str]) -> Result<Command, Error> {
    let mut command = Command::new(workspace::leadline()?);
    command.args(arguments);
    Ok(command)
}

fn measurement() -> Result<Command, Error> {
    let mut command = leadline(&["lab", "run", "--"])?;
    command.arg(workspace::leadline()?).args(MEASURE);
    Ok(command)
}

fn by_hand() -> Result<Error, Error> {
    let place = workspace::leadline()?;
    let sudo = |command: &Command| format!("sudo {}", shown(command).replacen("leadline", &place.to_string_lossy(), 1));
    Ok(Error::ByHand {
        why: "leadline is built, but the lab makes network namespaces, for which it needs root. Please run:".to_owned(),
        commands: vec![sudo(&leadline(&["lab", "up"])?), sudo(&measurement()?), sudo(&leadline(&["lab", "down"])?)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_whole_commands() {
        let Error::ByHand { commands, .. } = by_hand().expect("the place of this program is known") else {
            panic!("not for a person");
        };
        let place = workspace::leadline().expect("the place of this program is known");
        let place = place.display();
        assert_eq!(commands[0], format!("sudo {place} lab up"));
        assert!(
            commands[1].starts_with(&format!("sudo {place} lab run -- {place} measure 198.18.0.2 ")),
            "{}",
            commands[1]
        );
        assert_eq!(commands[2], format!("sudo {place} lab down"));
    }
}
