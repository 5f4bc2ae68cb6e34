// Loaded before a workload's own file where it is a child process: it does not outlive the embassy that started it.
process.once('disconnect', () => process.exit(1))
