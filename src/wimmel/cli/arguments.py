"""What the commands' arguments are called in their help, where several take the same."""

MODEL_HELP = "A model file, as wimmel train writes it."
DATA_HELP = "A folder per class, a zip or tar of that, MNIST's own files, or an .npz."
