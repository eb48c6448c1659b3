//! 11: the BootstrapConfiguration and other files that people write.

super::explanations! { CONFIG:
    CONFIG_MISSING = "MK1101", "the configuration file does not exist",
        "The bootstrap reads /etc/metalk8s/bootstrap.yaml, which describes the networks and the archives. It must be there before the first run.",
        "Write the file; an example lies in the folder `examples` of the archive.";
    CONFIG_NOT_YAML = "MK1102", "the file is not valid YAML",
        "The file could not be read as YAML (or is not text at all). The message names line and column where reading stopped; the mistake is there or just before.",
        "Check indentation, quotes and tabs around that place.";
    CONFIG_MISSING_KEY = "MK1103", "a mandatory key is missing",
        "The configuration lacks a key without which nothing can be decided.",
        "Add the named key; the message says what it accepts.";
    CONFIG_UNKNOWN_KEY = "MK1104", "a key is not known",
        "The configuration has a key that means nothing here: most often a typing mistake, which would otherwise be ignored in silence.",
        "Correct or remove the key; the message names the nearest known one.";
    CONFIG_BAD_VALUE = "MK1105", "a value is not accepted",
        "A key has a value of the wrong type or form.",
        "Correct it; the message shows what was found and what is accepted.";
    CONFIG_OVERLAP = "MK1106", "two network ranges overlap",
        "The ranges of pods and services must not overlap each other, nor the networks that the machines are on: packets would go to the wrong place.",
        "Choose another range for `networks.pods` or `networks.services` that is used nowhere in your infrastructure.";
    CONFIG_WRONG_KIND = "MK1107", "the file is of another kind or version",
        "The file starts with an apiVersion and a kind, and these are not the ones that this program reads.",
        "Check that it is the right file and compare its first lines with the example in the archive.";
    CONFIG_RELATIVE_PATH = "MK1108", "a path is not absolute",
        "Archives and files are named by absolute paths, so that they mean the same from wherever a command is run.",
        "Write the path from the root, such as `/archives/metalk8s.iso`.";
    CONFIG_TOO_LARGE = "MK1109", "the file is too large to be a configuration",
        "Files that people write are read up to a bound, far above what a real one needs; this one is larger.",
        "Check that the path names the configuration and not an archive or a log.";
    CONFIG_NOT_EDITED = "MK1110", "the configuration could not be added to",
        "Archives are added to the text of the file, which stays as it was written. `archives` is written in a form to which nothing can be added, or somebody saved the file at the same time.",
        "Write `archives` as a list with a line for each archive, then run the same command again.";
}
