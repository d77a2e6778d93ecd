using Fuzz;

namespace ConvertWeights.Tests;

/// <summary>A short run of <c>tests/Fuzz</c>; CHATTERBOX_FUZZ_COUNT makes it longer.</summary>
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const long ShortRun = 2000;

    private static long Count =>
        long.TryParse(Environment.GetEnvironmentVariable("CHATTERBOX_FUZZ_COUNT"), out var count) ? count : ShortRun;

    public static TheoryData<string> Names => [.. Readers.All.Select(reader => reader.Name)];

    [Theory, MemberData(nameof(Names))]
    public void Damaged_files_end_soon_in_a_result_or_an_error(string name)
    {
        var findings = Fuzzer.Run(Readers.All.Single(reader => reader.Name == name), Count, seed: 1);
        output.WriteLine($"{name}: {findings}");
        Assert.Empty(findings.Failures.Select(failure => $"input {failure.Number}: {failure.What}"));
        Assert.Equal(Count, findings.Inputs);
        Assert.InRange(findings.Read, Count / 100, Count - 1); // some are read, and some are not
    }

    [Fact]
    public void Failures_are_found_and_can_be_repeated()
    {
        var broken = new Reader(
            "broken",
            [
                [1, 2, 3, 4],
            ],
            path => File.ReadAllBytes(path) is [0xFF, ..] ? throw new InvalidOperationException("first byte") : 0
        );
        var failure = Fuzzer.Run(broken, 3000, seed: 5).Failures.OrderBy(f => f.Number).First();
        Assert.Contains("InvalidOperationException: first byte", failure.What, StringComparison.Ordinal);
        Assert.Equal(failure.Input, Fuzzer.InputOf(broken, 5, failure.Number));
        var greedy = new Reader(
            "greedy",
            [
                [1],
            ],
            _ => new byte[64 << 20].Length
        );
        Assert.Contains("allocated", Assert.Single(Fuzzer.Run(greedy, 1, seed: 1).Failures).What, StringComparison.Ordinal);
    }
}
