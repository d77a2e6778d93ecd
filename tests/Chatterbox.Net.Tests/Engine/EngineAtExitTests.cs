using System.Diagnostics;
using Chatterbox.Engine;
using Chatterbox.Tests.Layers;
using Chatterbox.Tests.Models;

namespace Chatterbox.Tests.Engine;

/// <summary>A process that ends while a model speaks, such as a program that returns from Main.</summary>
public sealed class EngineAtExitTests
{
    private const string IsChild = "CHATTERBOX_TESTS_LEAVE_AN_ENGINE";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_process_ends_in_order()
    {
        var start = new ProcessStartInfo(
            InstructionSetTests.Executable,
            ["-method", $"{typeof(EngineAtExitTests).FullName}.{nameof(An_engine_is_left_that_speaks)}", "-noLogo", "-noColor"]
        )
        {
            RedirectStandardOutput = true,
            Environment = { [IsChild] = "1" },
        };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync(Cancel);
        await process.Ends();
        Assert.Contains("Failed: 0", await output, StringComparison.Ordinal);
        Assert.Equal(0, process.ExitCode);
    }

    [Fact]
    public async Task An_engine_is_left_that_speaks()
    {
        Assert.SkipWhen(Environment.GetEnvironmentVariable(IsChild) is null, "It runs in a process of its own, which then ends.");
        var engine = new SpeechEngine(ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" }));
        var speech = engine.StreamAsync(string.Concat(Enumerable.Repeat("A sentence of some length. ", 200)), cancellationToken: Cancel);
        Assert.True(await speech.GetAsyncEnumerator(Cancel).MoveNextAsync());
    }
}
