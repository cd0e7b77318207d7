//! How fast Leadline is: its parts by themselves (`benches/`), and the whole beside a bare loop (`src/bin/loop`).
