using Xunit.Sdk;
using Xunit.v3;

// Full-size networks: one test class at a time keeps the memory of the suite to that of one model.
[assembly: Parallelization(Mode = ParallelMode.None)]
