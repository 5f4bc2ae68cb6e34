// Containers: the Docker engine, and how everything of ours is started in it.
export { type ContainerState, type Containers, createContainers } from './engine.ts'
export { ACTIVATIONS_MOUNT, type PauseSpec, WORKLOAD_USER, type WorkloadSpec } from './hardening.ts'
