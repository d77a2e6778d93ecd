using Chatterbox.Tests.Models;

namespace Chatterbox.Tests;

/// <summary>The whole flow on the tiny model: what a caller can count on, whatever the weights.</summary>
public sealed class ChatterboxModelTests : IDisposable
{
    private const string Text = "The quick brown fox jumps over the lazy dog.";
    private readonly ChatterboxModel _model = ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" });

    private Voice Voice => _model.BuiltInVoice!;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void The_tiny_model_stops_by_itself(long seed)
    {
        var speech = _model.Synthesize(Text, Voice, new SamplingOptions { Seed = seed });
        Assert.False(speech.ReachedLimit);
        Assert.InRange(speech.SpeechTokens.Count, 10, 80);
        Assert.Equal(speech.SpeechTokens.Count * 960, speech.Samples.Length);
        Assert.All(speech.Samples.ToArray(), sample => Assert.InRange(sample, -1.5f, 1.5f));
        Assert.True(speech.Samples.ToArray().Max(Math.Abs) > 1e-4f);
    }

    [Fact]
    public void A_seed_gives_the_same_speech_in_any_model_and_another_seed_gives_other_speech()
    {
        using var other = ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" });
        _ = other.Synthesize("Something else first.", Voice, new SamplingOptions { Seed = 9 });
        var first = _model.Synthesize(Text, Voice, new SamplingOptions { Seed = 5 }).Samples;
        Assert.Equal(first, other.Synthesize(Text, Voice, new SamplingOptions { Seed = 5 }).Samples);
        Assert.NotEqual(first.ToArray(), _model.Synthesize(Text, Voice, new SamplingOptions { Seed = 6 }).Samples.ToArray());
    }

    [Fact]
    public void Two_models_speak_side_by_side()
    {
        using var other = ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cpu" });
        var alone = _model.Synthesize(Text, Voice, new SamplingOptions { Seed = 5 }).Samples;
        var together = new[] { _model, other }
            .AsParallel()
            .WithDegreeOfParallelism(2)
            .Select(model => model.Synthesize(Text, Voice, new SamplingOptions { Seed = 5 }).Samples)
            .ToList();
        Assert.All(together, samples => Assert.Equal(alone, samples));
    }

    [Fact]
    public void Tensors_do_not_leak()
    {
        void Speak(int times)
        {
            for (var i = 0; i < times; i++)
            {
                _model.Synthesize("Hello there.", Voice, new SamplingOptions { Seed = i });
            }
        }

        Speak(2);
        var after2 = LiveTensors.Settled();
        Speak(18);
        Assert.Equal(after2, Tensor.TotalCount);
    }

    [Fact]
    public void Progress_grows_to_one_through_every_stage()
    {
        var reports = new List<SynthesisProgress>();
        _model.Synthesize(Text, Voice, new SamplingOptions { Seed = 1 }, progress: new Collector(reports));
        Assert.Equal(Enum.GetValues<SynthesisStage>(), reports.Select(r => r.Stage).Distinct());
        Assert.Equal(reports.Select(r => r.Fraction).Order(), reports.Select(r => r.Fraction));
        Assert.Equal(1, reports[^1].Fraction);
    }

    [Fact]
    public void Cancelling_ends_the_work()
    {
        using var cancellationToken = new CancellationTokenSource();
        var reports = new List<SynthesisProgress>();
        Assert.ThrowsAny<OperationCanceledException>(() =>
            _model.Synthesize(
                Text,
                Voice,
                progress: new Collector(reports, cancellationToken.Cancel),
                cancellationToken: cancellationToken.Token
            )
        );
        Assert.Single(reports);
    }

    [Theory]
    [InlineData("")]
    [InlineData("   \n\t ")]
    [InlineData("?!...")]
    public void Text_without_words_is_refused(string text) => Assert.Throws<RequestException>(() => _model.Synthesize(text, Voice));

    [Fact]
    public void A_limit_on_speech_is_told()
    {
        var speech = _model.Synthesize(Text, Voice, new SamplingOptions { Seed = 1, MaxSpeechTokens = 5 });
        Assert.True(speech.ReachedLimit);
        Assert.InRange(speech.SpeechTokens.Count, 1, 5);
    }

    [Fact]
    public void Guidance_can_be_turned_off()
    {
        var speech = _model.Synthesize(Text, Voice, new SamplingOptions { Seed = 1, CfgWeight = 0 });
        Assert.NotEmpty(speech.Samples.ToArray());
    }

    [Fact]
    public void A_folder_is_checked_before_anything_is_loaded()
    {
        Assert.Contains(
            "not a folder",
            Assert.Throws<CheckpointException>(() => ChatterboxModel.Load("/no/such/folder")).Message,
            StringComparison.Ordinal
        );

        var folder = TinyCheckpoint.Copy();
        File.Delete(Path.Combine(folder, "ve.safetensors"));
        File.Move(Path.Combine(folder, "tokenizer.json"), Path.Combine(folder, "tokeniser.json"));
        var missing = Assert.Throws<CheckpointException>(() => ChatterboxModel.Load(folder)).Message;
        Assert.Contains("ve.safetensors", missing, StringComparison.Ordinal);
        Assert.Contains("tokenizer.json", missing, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData("ve.safetensors", "t3_cfg.safetensors")]
    [InlineData("t3_cfg.safetensors", "s3gen.safetensors")]
    [InlineData("s3gen.safetensors", "t3_cfg.safetensors")]
    public void A_foreign_file_is_named_with_its_faults(string file, string foreign)
    {
        var folder = TinyCheckpoint.Copy();
        File.Copy(Path.Combine(folder, foreign), Path.Combine(folder, file), overwrite: true);
        var message = Assert.Throws<CheckpointException>(() => ChatterboxModel.Load(folder)).Message;
        Assert.StartsWith(file, message, StringComparison.Ordinal);
        Assert.Contains("is missing", message, StringComparison.Ordinal);
        Assert.Contains("is not part of this model", message, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void A_failed_load_frees_what_it_loaded()
    {
        var folder = TinyCheckpoint.Copy();
        File.Copy(Path.Combine(folder, "t3_cfg.safetensors"), Path.Combine(folder, "ve.safetensors"), overwrite: true);
        var before = LiveTensors.Settled();
        Assert.Throws<CheckpointException>(() => ChatterboxModel.Load(folder));
        Assert.Equal(before, Tensor.TotalCount);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Devices_that_are_not_there_are_refused()
    {
        Assert.Throws<UnavailableException>(() => ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "tpu" }));
        Assert.Throws<UnavailableException>(() => ChatterboxModel.Load(TinyCheckpoint.Folder, new ModelOptions { Device = "cuda:99" }));
    }

    public void Dispose() => _model.Dispose();

    private sealed class Collector(List<SynthesisProgress> reports, Action? then = null) : IProgress<SynthesisProgress>
    {
        public void Report(SynthesisProgress value)
        {
            reports.Add(value);
            then?.Invoke();
        }
    }
}
