"""What runs in the process of the user's script.

`entry`       how the process begins: guard, import hook for torch, end of the run
`wire`        the way of the records to the parent
`frames`      whose line a call comes from

The guard over the user's files:
`guard`       puts everything in place; its docstring states the mechanism and its limits
`overlay`     the user's files with the script's changes over them
`files`       the functions of Python that take a path; `system` keeps the original ones
`natives`     functions of libraries that write natively
`landlock`    the kernel's refusal; `watch` refuses what goes past the redirection; `journal` notes it
`environment` variables that keep temporary files and loggers in the scratch folder

The probe and its watchers:
`probe`       installs them, and keeps their mistakes away from the script
`births`      where layers and optimizers were constructed
`losses`      what each loss was given
`gradients`   where the gradients of each step come from
`forwards`    in which mode each network was called
`views`       sizes at each view; `biases` the effect of each bias; both ask a `replay` on a copy
`ranks`       fingerprints to compare ranks by
`course`      how far the run is, and when enough was seen

Data and networks that are made up:
`standin`     datasets whose files are missing; `layout` the form of their items; `sample` a file that tells it
`specimen`    inputs that a network takes; `inference` and `trial` find out what the script takes
`bench`       networks of a file that trains nothing; `callsites` how its project constructs them
"""
