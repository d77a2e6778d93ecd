using Xunit.Sdk;
using Xunit.v3;

// Environment variables of the process choose the hub and its cache.
[assembly: Parallelization(Mode = ParallelMode.None)]
