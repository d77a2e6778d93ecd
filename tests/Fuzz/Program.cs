using System.CommandLine;
using System.Diagnostics;
using Fuzz;
using Fuzz.Service;

// dotnet run -c Release --project tests/Fuzz -- --count 1000000
// dotnet run -c Release --project tests/Fuzz -- soak 10
// dotnet run -c Release --project tests/Fuzz -- kill 200
var count = new Option<long>("--count") { Description = "Inputs for each reader.", DefaultValueFactory = _ => 100_000 };
var seed = new Option<int>("--seed") { Description = "The same seed makes the same inputs.", DefaultValueFactory = _ => 1 };
var reader = new Option<string?>("--reader") { Description = "Only this reader. Default: all." };
reader.AcceptOnlyFromAmong([.. Readers.All.Select(r => r.Name)]);
var keep = new Option<DirectoryInfo?>("--keep") { Description = "Folder for the inputs that a reader failed on." };
var threads = new Option<int>("--threads")
{
    Description = "Inputs read at the same time.",
    DefaultValueFactory = _ => Environment.ProcessorCount,
};
var root = new RootCommand(
    "Gives damaged files to the readers of weights, torch archives and recordings. Exit code 1: a reader crashed, hung, or took too "
        + "much memory."
)
{
    count,
    seed,
    reader,
    keep,
    threads,
    ServiceCommands.Soak(),
    ServiceCommands.Kill(),
};
root.SetAction(parsed =>
{
    var failed = false;
    foreach (var one in Readers.All.Where(r => parsed.GetValue(reader) is not { } name || r.Name == name))
    {
        var clock = Stopwatch.StartNew();
        var findings = Fuzzer.Run(one, parsed.GetValue(count), parsed.GetValue(seed), parsed.GetValue(threads));
        Console.WriteLine($"{one.Name}: {findings}, {clock.Elapsed.TotalSeconds:0} s");
        foreach (var failure in findings.Failures)
        {
            failed = true;
            Console.WriteLine($"  input {failure.Number}: {failure.What}");
            if (parsed.GetValue(keep) is { } folder)
            {
                folder.Create();
                File.WriteAllBytes(Path.Combine(folder.FullName, $"{one.Name}-{parsed.GetValue(seed)}-{failure.Number}"), failure.Input);
            }
        }
    }

    return failed ? 1 : 0;
});
return await root.Parse(args).InvokeAsync();
