"""Pass 2: honest captions for flagged samples.

`flagged` goes over them all; `trimming` gives people their own captions back; `bench` perturbs images by the policy,
takes away the pattern that they share (`shared_pattern`), and looks twice (`second_look`); `acceptance` says which
captions will do, and `fates` what can become of a sample.
"""
