"""From a folder to a plan to a run: session, matching, doctor, the table of steps, resume."""
