"""The experiment of `lolora reproduce`: its protocol, its runs, its verdicts, its report."""
