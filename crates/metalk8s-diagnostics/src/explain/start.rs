//! 10: starting a program.

super::explanations! { START:
    NOT_ROOT = "MK1001", "this must be run as root",
        "The command changes the machine (packages, services, files below /etc) and therefore needs root.",
        "Run the same command as root, for example with `sudo`.";
    ALREADY_RUNNING = "MK1002", "another run is going on",
        "A run holds a lock for as long as it works, so that two of them cannot change the same machine at once. The message names the process and the run that hold it.",
        "Wait until the other run has ended. If its process does not exist any more, start again: a lock without its process is taken over.";
    WRONG_USAGE = "MK1003", "the command line is not understood",
        "An option, a verb or a value is unknown or missing. Nothing was changed.",
        "Compare with `--help` of the command; the message names the nearest known word.";
    INTERRUPTED = "MK1004", "the run was interrupted",
        "Ctrl-C or a signal ended the run between two steps. Each finished step is recorded.",
        "Start the same command again: it goes on where it was.";
    JOURNAL_UNREADABLE = "MK1005", "the journal of a run cannot be read",
        "A run writes each finished step to its journal below /var/lib/metalk8s/runs. This one has a line in the middle that is damaged, or comes from a newer version.",
        "Look at the file the message names. Moved away, the run starts from its first step; steps that are done already find nothing to change.";
    LOG_UNWRITABLE = "MK1006", "the log file cannot be written",
        "Every run appends to a log file, and this one could not be opened.",
        "Give another file with `--log-file`, or make the named directory writable.";
    DISK_FULL = "MK1007", "no space is left on the device",
        "A file could not be written because the file system it is on is full. Files are written beside and renamed, so the old contents are still there.",
        "Free space on the named file system (`df -h`), then start the same command again.";
    RUN_UNKNOWN = "MK1008", "there is no such run",
        "Runs are known by their journals on this machine; of each kind the last twenty are kept.",
        "`metalk8s run list` shows the runs there are.";
    FILE_UNUSABLE = "MK1009", "a file or folder cannot be used",
        "It is missing, is of another kind, or this user may not read or write it. The message names it, the last cause is what the system said.",
        "Look at it with `ls -ld PATH`; make it, or correct its owner and mode.";
    UNEXPECTED = "MK1010", "something failed for which there is no code of its own",
        "The message and its causes tell all that is known. What was done before is kept.",
        "Repair what the causes name, then start the same command again. If they name nothing, report it with the log as a bug.";
    BACKUP_FAILED = "MK1011", "no backup could be made",
        "A backup has the configuration and the authorities of the Bootstrap node, and all that etcd holds. etcd did not give that, or gave something that has not the sum at its end. No half of a backup is left, and everything else that was done is kept.",
        "See to it that etcd on this machine is well (`metalk8s doctor`), then make one with `backup.sh`.";
}
