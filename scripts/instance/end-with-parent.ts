// Loaded before a process of an instance: when whoever watches over it is gone, killed or crashed, it is told to stop as
// by Ctrl-C, rather than hold ports and containers for nobody.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
// Listening for that is no reason to go on.
process.channel?.unref()
