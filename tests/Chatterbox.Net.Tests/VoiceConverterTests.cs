using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Tests.Models;
using Chatterbox.Voices;
using Chatterbox.Weights;

namespace Chatterbox.Tests;

/// <summary>Long recordings, in windows small enough for a test.</summary>
public sealed class VoiceConverterTests : IDisposable
{
    private const int SamplesPerToken = 960;
    private static readonly ConversionConfig Small = new(WindowTokens: 60, SearchTokens: 15, ContextTokens: 6);

    private readonly WeightStore _weights;
    private readonly SpeechDecoder _speechDecoder;
    private readonly SpeechTokenizer _tokenizer;
    private readonly Voice _voice;

    public VoiceConverterTests()
    {
        using var mode = inference_mode();
        var checkpoint = Checkpoint.Open(TinyCheckpoint.Folder);
        _weights = new(Checkpoint.OpenFile(checkpoint.S3GenPath));
        var networks = new S3GenNetworks(checkpoint.Config, _weights.Root, TorchOps.Plain);
        _speechDecoder = new(checkpoint.Config, networks.S3Gen, networks.HiFT);
        _tokenizer = networks.Reference.SpeechTokenizer;
        _voice = SyntheticCheckpoint.MakeVoice(checkpoint.Config);
    }

    [Fact]
    public void A_long_recording_keeps_its_length_and_has_no_jumps_at_the_joints()
    {
        var source = FamilyTests.Hum(seconds: 6);
        var (whole, tokens) = Convert(source, new ConversionConfig());
        var (joined, joinedTokens) = Convert(source, Small);
        Assert.Equal(150, tokens.Length);
        Assert.Equal(tokens, joinedTokens);
        Assert.Equal(whole.Length, joined.Length);
        Assert.InRange(Steepest(joined), 0, 1.2f * Steepest(whole));

        // No window's end leaves a gap.
        var usual = Enumerable.Range(1, tokens.Length - 1).Average(token => Power(whole, token));
        Assert.All(Enumerable.Range(1, tokens.Length - 1), token => Assert.True(Power(joined, token) > 1e-3f * usual));
    }

    [Fact]
    public void A_voice_with_a_frame_too_many_keeps_the_windows_in_place()
    {
        var bands = ChatterboxConfig.English.S3Gen.MelBands;
        var longer = _voice.S3Gen with { Mel = [.. _voice.S3Gen.Mel, .. new float[bands]] };
        var (joined, tokens) = Convert(FamilyTests.Hum(seconds: 4), Small, longer);
        Assert.Equal(100 * SamplesPerToken, joined.Length);
        Assert.True(Power(joined, tokens.Length - 1) > 0);
    }

    [Fact]
    public void Progress_goes_through_all_windows_to_one()
    {
        var reports = new List<double>();
        Convert(FamilyTests.Hum(seconds: 5), Small, progress: new Collector(reports));
        Assert.Equal(reports.Order(), reports);
        Assert.Equal(1, reports[^1], 6);
        Assert.True(reports.Count > 20);
    }

    public void Dispose() => _weights.Dispose();

    private (float[] Samples, int[] SpeechTokens) Convert(
        AudioClip source,
        ConversionConfig config,
        S3GenPrompt? voice = null,
        IProgress<double>? progress = null
    )
    {
        using var mode = inference_mode();
        using var noise = new NoiseSource(3);
        var converter = new VoiceConverter(_speechDecoder, _tokenizer, source, voice ?? _voice.S3Gen, noise, config);
        var samples = new List<float>();
        while (!converter.IsOver)
        {
            samples.AddRange(converter.Next(progress));
        }

        return ([.. samples], [.. converter.SpeechTokens]);
    }

    private static float Steepest(float[] samples) => samples.Zip(samples.Skip(1), (a, b) => MathF.Abs(b - a)).Max();

    private static float Power(float[] samples, int token) =>
        samples.AsSpan(token * SamplesPerToken, SamplesPerToken).ToArray().Sum(x => x * x);

    private sealed class Collector(List<double> reports) : IProgress<double>
    {
        public void Report(double value) => reports.Add(value);
    }
}
