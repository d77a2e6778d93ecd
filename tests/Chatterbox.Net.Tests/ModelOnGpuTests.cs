using Chatterbox.Benchmarks;
using Chatterbox.Models;
using Chatterbox.Tests.Parity;

namespace Chatterbox.Tests;

/// <summary>Whole models of full size on a GPU, everything fused: what they hold on to, and what they have to do with each other.</summary>
public class ModelOnGpuTests(ModelOnGpuTests.Checkpoints checkpoints) : IClassFixture<ModelOnGpuTests.Checkpoints>
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";
    private const long Slack = 16 << 20; // the driver counts in pieces of 2 MiB

    [Theory]
    [InlineData("nano", 500)]
    [InlineData("english", 500)]
    public void Syntheses_take_no_more_memory_the_more_there_are(string variant, int syntheses)
    {
        const int Kinds = 25;
        using var model = Load(variant);
        var device = Gpu.Required();
        var (tensors, bytes) = (0L, 0L);
        for (var i = 0; i < syntheses; i++)
        {
            model.Synthesize(
                Text,
                model.BuiltInVoice!,
                new() { Seed = i, MaxSpeechTokens = 8 + (11 * i % Kinds) },
                cancellationToken: TestContext.Current.CancellationToken
            );
            if (i == 2 * Kinds)
            {
                (tensors, bytes) = (LiveTensors.Settled(), GpuMemory.Used(device));
            }
        }

        var (tensorsAfter, bytesAfter) = (LiveTensors.Settled(), GpuMemory.Used(device));
        Close.Report(
            $"{syntheses} of {variant}: tensors {tensors} and {tensorsAfter}, GPU memory in use {bytes >> 20} and {bytesAfter >> 20} MiB"
        );
        Assert.Equal(tensors, tensorsAfter);
        Assert.InRange(bytesAfter, 0, bytes + Slack);
    }

    [Theory]
    [InlineData("nano")]
    [InlineData("english")]
    public void Speech_does_not_depend_on_what_was_spoken_before(string variant)
    {
        using var model = Load(variant);
        var first = Speak(model);
        model.Synthesize(
            Text + Text,
            model.BuiltInVoice!,
            new() { Seed = 9, MaxSpeechTokens = 200 },
            cancellationToken: TestContext.Current.CancellationToken
        );
        Same(variant, first, Speak(model));
        Same(variant, first, Speak(model));
    }

    [Fact]
    public async Task Models_that_speak_at_once_speak_as_alone()
    {
        var parts = new SharedParts();
        using var english = Load("english");
        using var first = Load("nano", parts);
        using var second = Load("nano", parts);
        ChatterboxModel[] models = [english, first, second];
        foreach (var model in models)
        {
            model.WarmUp();
        }

        var alone = models.Select(Speak).ToArray();
        var atOnce = await Task.WhenAll(models.Select(model => Task.Factory.StartNew(() => Speak(model), TaskCreationOptions.LongRunning)));
        foreach (var (i, model) in models.Index())
        {
            Same($"{model.Name}, model {i}", alone[i], atOnce[i]);
        }
    }

    private static SpeechResult[] Speak(ChatterboxModel model) =>
        [
            .. Enumerable
                .Range(0, 8)
                .Select(seed => model.Synthesize(Text, model.BuiltInVoice!, new() { Seed = seed, MaxSpeechTokens = 40 + (9 * seed) })),
        ];

    private static void Same(string who, SpeechResult[] expected, SpeechResult[] heard)
    {
        foreach (var (seed, pair) in expected.Zip(heard).Index())
        {
            var same = pair.First.SpeechTokens.Zip(pair.Second.SpeechTokens).TakeWhile(tokens => tokens.First == tokens.Second).Count();
            Assert.True(
                pair.First.SpeechTokens.SequenceEqual(pair.Second.SpeechTokens),
                $"{who}, seed {seed}: {same} of {pair.First.SpeechTokens.Count} tokens are the same"
            );
            Assert.True(
                pair.First.Samples.Span.SequenceEqual(pair.Second.Samples.ToArray()),
                $"{who}, seed {seed}: the same tokens, other samples"
            );
        }
    }

    private ChatterboxModel Load(string variant, SharedParts? parts = null)
    {
        Gpu.Required();
        return ChatterboxModel.Load(checkpoints.FolderOf(variant), new ModelOptions { Device = "cuda", SharedParts = parts });
    }

    /// <summary>Synthetic checkpoints, written when they are first asked for.</summary>
    public sealed class Checkpoints : IDisposable
    {
        private readonly Dictionary<string, string> _folders = [];

        public string FolderOf(string variant)
        {
            if (!_folders.TryGetValue(variant, out var folder))
            {
                folder = _folders[variant] = Directory.CreateTempSubdirectory("chatterbox-gpu-").FullName;
                SyntheticCheckpoint.Write(variant, folder);
            }

            return folder;
        }

        public void Dispose()
        {
            foreach (var folder in _folders.Values)
            {
                Directory.Delete(folder, recursive: true);
            }
        }
    }
}
