namespace ConvertWeights.Tests;

/// <summary>What all commands have in common: help, errors, exit codes.</summary>
public sealed class CommandLineTests
{
    public static TheoryData<string> Commands =>
        ["download", "verify", "convert", "inspect", "diff", "voice make", "voice inspect", "voice convert", "synthesize"];

    [Fact]
    public async Task Help_names_every_command_and_the_exit_codes()
    {
        var said = await Cli.RunAsync("--help");
        Assert.Equal(0, said.Code);
        Assert.Contains("Exit codes: 0 done", said.Output, StringComparison.Ordinal);
        Assert.All(
            Commands.Select(row => row.Data.Split(' ')[0]),
            command => Assert.Contains($"\n  {command}", said.Output, StringComparison.Ordinal)
        );
    }

    [Theory, MemberData(nameof(Commands))]
    public async Task Help_of_a_command_has_examples_that_are_valid(string command)
    {
        var said = await Cli.RunAsync([.. command.Split(' '), "--help"]);
        Assert.Equal(0, said.Code);
        Assert.Contains("--json", said.Output, StringComparison.Ordinal);
        var examples = said
            .Output.Split('\n')
            .Where(line => line.StartsWith("  convert-weights ", StringComparison.Ordinal) && !line.Contains('<', StringComparison.Ordinal))
            .ToList();
        Assert.Contains(examples, example => example.StartsWith($"  convert-weights {command} ", StringComparison.Ordinal));
        foreach (var example in examples.Where(example => !example.Contains('[', StringComparison.Ordinal)))
        {
            Assert.Empty(CommandLine.CreateRoot().Parse(example.Trim()["convert-weights ".Length..]).Errors);
        }
    }

    [Theory]
    [InlineData]
    [InlineData("inspect")]
    [InlineData("diff", "a")]
    [InlineData("convert", "a")]
    [InlineData("convert", "a", "--out", "b", "--t3", "f8")]
    [InlineData("nonsense")]
    public async Task A_wrong_command_line_ends_with_2(params string[] args) => Assert.Equal(2, (await Cli.RunAsync(args)).Code);

    [Fact]
    public async Task An_error_is_one_line_for_people_and_json_for_programs()
    {
        var said = await Cli.RunAsync("inspect", "/nowhere/a.safetensors");
        Assert.Equal((2, ""), (said.Code, said.Output));
        Assert.Contains("/nowhere/a.safetensors cannot be read", said.Error, StringComparison.Ordinal);
        said = await Cli.RunAsync("inspect", "/nowhere/a.safetensors", "--json");
        Assert.Equal((2, ""), (said.Code, said.Error));
        Assert.Contains("cannot be read", said.Json.GetProperty("error").GetString(), StringComparison.Ordinal);
    }
}
