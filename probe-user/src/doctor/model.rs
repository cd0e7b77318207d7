//! What the doctor found, in a form that programs can rely on.

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// The name and version of this model, the first field of its JSON form.
pub const SCHEMA: &str = "leadline.doctor/1";

/// The check whose one line says everything of an interface.
pub(super) const SUMMARY: &str = "summary";

/// All findings, in the order in which a person wants to read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// One entry for each check that was made.
    pub findings: Vec<Finding>,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stable name of the check, such as `capabilities`. Within one area each check occurs once.
    pub check: &'static str,
    /// What was examined.
    pub area: Area,
    /// How it stands.
    pub status: Status,
    /// What was seen, as a sentence or its beginning.
    pub seen: String,
    /// What to do about it; always there unless the status is [`Status::Ok`].
    pub advice: Option<String>,
}

/// What a check examines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    /// The machine and its kernel.
    Host,
    /// The system clock.
    Clock,
    /// The network interface of that name.
    Interface(String),
}

/// How a check came out, the better the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing to do, or nothing that could be known.
    Ok,
    /// A measurement works, but its figures or its rate suffer.
    Warning,
    /// A measurement through AF_XDP does not work.
    Problem,
}

impl Report {
    /// A report of these findings.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        Self { schema: SCHEMA, findings }
    }

    /// The worst status of all findings; [`Status::Ok`] where there are none.
    #[must_use]
    pub fn worst(&self) -> Status {
        self.findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Ok)
    }

    /// The exit status of `leadline doctor`: 1 where there is a problem, else 0.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        u8::from(self.worst() == Status::Problem)
    }

    /// How many findings have this status.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }

    /// The finding of a check, the first where several areas have it.
    #[must_use]
    pub fn find(&self, check: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.check == check)
    }
}

impl Area {
    pub(super) fn ok(&self, check: &'static str, seen: impl Into<String>) -> Finding {
        Finding { check, area: self.clone(), status: Status::Ok, seen: seen.into(), advice: None }
    }

    pub(super) fn warning(&self, check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Finding {
        self.bad(Status::Warning, check, seen.into(), advice.into())
    }

    pub(super) fn problem(&self, check: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Finding {
        self.bad(Status::Problem, check, seen.into(), advice.into())
    }

    fn bad(&self, status: Status, check: &'static str, seen: String, advice: String) -> Finding {
        Finding { check, area: self.clone(), status, seen, advice: Some(advice) }
    }

    /// `host`, `clock` or `interface`.
    fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Clock => "clock",
            Self::Interface(_) => "interface",
        }
    }

    /// The interface's name, for an interface.
    fn interface(&self) -> Option<&str> {
        match self {
            Self::Interface(name) => Some(name),
            Self::Host | Self::Clock => None,
        }
    }
}

impl std::fmt::Display for Area {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.interface() {
            Some(name) => write!(f, "{} {name}", self.kind()),
            None => f.write_str(self.kind()),
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Finding", 6)?;
        object.serialize_field("check", self.check)?;
        object.serialize_field("area", self.area.kind())?;
        object.serialize_field("interface", &self.area.interface())?;
        object.serialize_field("status", &self.status)?;
        object.serialize_field("seen", &self.seen)?;
        object.serialize_field("advice", &self.advice)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_problem_fails() {
        let (ok, warning) = (Area::Host.ok("a", ""), Area::Clock.warning("b", "", "x"));
        let problem = Area::Interface("eth0".to_owned()).problem("c", "", "y");
        assert_eq!(Report::new(Vec::new()).exit_status(), 0);
        assert_eq!(Report::new(vec![ok.clone(), warning.clone()]).exit_status(), 0);
        let report = Report::new(vec![ok, problem, warning]);
        assert_eq!((report.worst(), report.exit_status()), (Status::Problem, 1));
        assert_eq!(report.count(Status::Warning), 1);
    }

    #[test]
    fn the_names_in_json_are_the_promised_ones() {
        let report = Report::new(vec![
            Area::Interface("eth0".to_owned()).problem("link", "it is down", "bring it up"),
            Area::Clock.ok("clock-source", "tsc"),
        ]);
        let expected = serde_json::json!({
            "schema": "leadline.doctor/1",
            "findings": [
                { "check": "link", "area": "interface", "interface": "eth0", "status": "problem", "seen": "it is down", "advice": "bring it up" },
                { "check": "clock-source", "area": "clock", "interface": null, "status": "ok", "seen": "tsc", "advice": null },
            ]
        });
        assert_eq!(serde_json::to_value(&report).expect("plain data"), expected);
    }
}
