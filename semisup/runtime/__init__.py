"""Where and how a run computes: devices, workers, precision, signals, Keras's registry.

distribution          replicas that share a batch
workers               replicas in several processes
precision             float32 or mixed bfloat16
machine               processor, GPUs and versions, for the record
signals               Ctrl-C and SIGTERM
progress              lines about long work
paths                 of files and folders, as a person writes them
arguments             whole numbers and labels, checked
keras_registration    our classes in Keras's registry
keras_settings        what a user's keras.json must not change
"""
