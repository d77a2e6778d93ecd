using Xunit.Sdk;
using Xunit.v3;

// Each test starts a service: one after the other, so that a small machine is not measured.
[assembly: Parallelization(Mode = ParallelMode.None)]
