namespace ConvertWeights.Tests;

/// <summary>What docs/weights.md tells people to type.</summary>
public sealed class DocumentationTests : IDisposable
{
    private const string Program = "dotnet run -c Release --project tools/convert-weights -- ";

    private readonly Cli _cli = new();
    private readonly string _before = Environment.CurrentDirectory;

    public void Dispose()
    {
        Environment.CurrentDirectory = _before;
        _cli.Dispose();
    }

    [Fact]
    public async Task Each_line_does_what_it_says()
    {
        File.Copy(Path.Combine(Cli.Fixtures, "audio", "jfk_16k_mono.wav"), _cli.In("someone.wav"));
        Environment.CurrentDirectory = _cli.Folder;
        var commands = File.ReadLines(Path.Combine(Cli.Fixtures, "..", "..", "docs", "weights.md"))
            .Where(line => line.StartsWith(Program, StringComparison.Ordinal))
            .Select(line => line[Program.Length..].Split('#')[0].Trim())
            .ToList();
        Assert.Subset(
            commands.Select(command => command.Split(' ')[0]).ToHashSet(),
            new HashSet<string> { "synthesize", "verify", "convert", "inspect", "diff", "voice", "download" }
        );
        foreach (var command in commands)
        {
            if (command.StartsWith("download ", StringComparison.Ordinal))
            {
                Assert.Empty(CommandLine.CreateRoot().Parse(command).Errors); // without a network
                continue;
            }

            var said = await Cli.RunAsync(command.Split(' '));
            Assert.True(said.Code == 0, $"{command}: {said.Code}\n{said.Output}{said.Error}");
        }
    }
}
