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
    public Task The_process_ends_in_order() =>
        InstructionSetTests.RunAsync(
            ["-method", $"{typeof(EngineAtExitTests).FullName}.{nameof(An_engine_is_left_that_speaks)}"],
            (IsChild, "1")
        );

    [Fact]
    public async Task An_engine_is_left_that_speaks()
    {
        Assert.SkipWhen(Environment.GetEnvironmentVariable(IsChild) is null, "It runs in a process of its own, which then ends.");
        var engine = new SpeechEngine(ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" }));
        var speech = engine.StreamAsync(string.Concat(Enumerable.Repeat("A sentence of some length. ", 200)), cancellationToken: Cancel);
        Assert.True(await speech.GetAsyncEnumerator(Cancel).MoveNextAsync());
    }
}
