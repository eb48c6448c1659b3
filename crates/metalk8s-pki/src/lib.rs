//! authorities, certificates, kubeconfigs, renewal rules; clock and randomness are arguments.
