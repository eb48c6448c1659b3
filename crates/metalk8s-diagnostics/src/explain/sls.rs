//! 18: SLS files.

super::explanations! { SLS:
    SLS_NOT_FOUND = "MK1801", "an SLS file does not exist",
        "The name `a.b` is looked for as `a/b.sls` and `a/b/init.sls` in the file roots.",
        "Check the name and give the right folder with `--file-root`.";
    SLS_NOT_YAML = "MK1802", "an SLS file is not valid YAML",
        "Reading stopped at the named line and column; the mistake is there or just before.",
        "Check indentation, quotes and tabs around that place.";
    SLS_TEMPLATE = "MK1803", "templates are not supported in SLS files",
        "SLS files are plain YAML here; `{{` and `{%` of Jinja are not evaluated, and are refused rather than applied as they stand.",
        "Write the values out. Where braces are meant literally, as in the contents of a file, keep that text in a file of its own and name it by `source: salt://...`.";
    SLS_UNKNOWN_FUNCTION = "MK1804", "a state function is not known",
        "Only the usual functions are offered, such as `file.managed`, `pkg.installed`, `service.running` and `cmd.run`.",
        "Use one of the functions that the message names.";
    SLS_UNKNOWN_ARGUMENT = "MK1805", "an argument of a state function is not known",
        "The function does not take this argument: most often a typing mistake, which would otherwise be ignored in silence.",
        "Correct or remove the argument; the message names the nearest known one.";
    SLS_BAD_VALUE = "MK1806", "a value in an SLS file is not accepted",
        "An argument has a value of the wrong type or form.",
        "Correct it; the message shows what was found and what is accepted.";
    SLS_MISSING_ARGUMENT = "MK1807", "a state function lacks an argument",
        "The function cannot be carried out without this argument.",
        "Add the named argument.";
    SLS_BAD_STRUCTURE = "MK1808", "an SLS file does not have the form of states",
        "A file maps each id to one or several functions with a list of arguments.",
        "Compare with: `/etc/motd: {file.managed: [{contents: hello}]}`.";
    SLS_DUPLICATE = "MK1809", "two states have one id",
        "An id may be declared once over all included files, and once per kind of function.",
        "Rename one of the two; the message names both places.";
    SLS_MISSING_REQUISITE = "MK1810", "a requisite names a state that does not exist",
        "The state that another one requires, watches or is required in was not found by its id nor by its name.",
        "Correct the reference, or include the file that declares it.";
    SLS_CYCLE = "MK1811", "SLS files or states wait for one another",
        "Files that include each other, or states that require each other, have no order.",
        "Remove one of the edges that the message names.";
    SLS_SOURCE_NOT_FOUND = "MK1812", "the source of a file does not exist",
        "A `salt://` path is looked for in the file roots.",
        "Check the path and the folder given with `--file-root`.";
    SLS_TOO_LARGE = "MK1813", "an SLS file or its sources are too large",
        "Files are read up to a bound, far above what real ones need.",
        "Split the file, or check that the path names what you mean.";
    FORMULA_NOT_HERE = "MK1814", "a formula is not for this machine",
        "It makes what a role brings that this machine does not have, or what only the Bootstrap node has. Nothing was changed.",
        "Apply it on a node with that role; `metalk8s node list` shows roles. To give this machine the role, label its Node and deploy it: `metalk8s node deploy NODE`.";
}
