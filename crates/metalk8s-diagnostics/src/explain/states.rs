//! 15: states and their application.

super::explanations! { STATES:
    STATE_FAILED = "MK1501", "a state could not be applied",
        "A wish about the machine or the cluster could not be made true. States that require it were not run; everything before it is done.",
        "Repair what the causes name, then start the same command again: what is already true is left alone.";
    STATE_CHECK_FAILED = "MK1502", "a state could not be checked",
        "It could not be found out whether something must change, so nothing was changed there.",
        "Repair what the causes name, then start again.";
    WAIT_TIMED_OUT = "MK1503", "something did not become ready in time",
        "A step waited for a condition until its deadline. The message names the condition and how long it waited.",
        "Look at the logs of what was waited for (`crictl ps -a`, `crictl logs`, `journalctl -u kubelet`), then start again.";
    GRAPH_INVALID = "MK1504", "the states cannot be put in an order",
        "Two states have one name, one depends on a state that does not exist, or they wait for one another.",
        "In SLS files, correct the requisites that the message names; from a shipped formula, report it as a bug.";
    NO_HANDS = "MK1505", "a state cannot be carried out here",
        "The program has no way to make such a state true in this place, for example a cluster's state without a cluster.",
        "Run the command where the message says.";
    PLAN_MOVED = "MK1506", "the plan is not what would be done now",
        "Since the plan was made, a node, its settings or its version became different, or the plan is another cluster's. Nothing was changed.",
        "Make a new plan with `metalk8s plan -o FILE`, look at it, and apply that one.";
    PLAN_UNREADABLE = "MK1507", "the plan cannot be read",
        "The file is no plan, was changed after it was written, or a newer program wrote it. Nothing was changed.",
        "Make a new plan with `metalk8s plan -o FILE`.";
}
