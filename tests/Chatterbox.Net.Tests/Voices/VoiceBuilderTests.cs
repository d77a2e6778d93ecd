using Chatterbox.Audio;
using Chatterbox.Voices;

namespace Chatterbox.Tests.Voices;

public sealed class VoiceBuilderTests(VoiceBuilders builders) : IClassFixture<VoiceBuilders>
{
    private static AudioClip Recording(double seconds, int rate = 24000, float level = 0.1f)
    {
        var random = new Random(1);
        return new AudioClip(
            (float[])
                [
                    .. Enumerable
                        .Range(0, (int)Math.Round(seconds * rate))
                        .Select(i => level * (float)((random.NextDouble() - 0.5) + Math.Sin(i * 2 * Math.PI * 200 / rate))),
                ],
            rate
        );
    }

    [Theory]
    [InlineData(1.1, 16000, 27)]
    [InlineData(2, 44100, 50)]
    [InlineData(13, 8000, 250)]
    public void A_recording_of_any_rate_becomes_a_voice(double seconds, int rate, int tokens)
    {
        var voice = builders.Llama.Build(Recording(seconds, rate));
        Assert.Equal(256, voice.T3.SpeakerEmbedding.Count);
        Assert.Equal(Math.Min(150, (int)Math.Ceiling(seconds * 25)), voice.T3.SpeechTokens.Count);
        Assert.Equal(192, voice.S3Gen.XVector.Count);
        Assert.Equal(tokens, voice.S3Gen.SpeechTokens.Count);
        Assert.Equal(80 * (int)(Math.Min(10, seconds) * 50), voice.S3Gen.Mel.Count);
    }

    [Fact]
    public void Making_a_voice_leaves_no_tensor_behind()
    {
        var builder = builders.Llama;
        builder.Build(Recording(1.5));
        var before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        builder.Build(Recording(1.5));
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void T3_hears_six_seconds_of_speech_tokens_and_the_whole_voice()
    {
        var samples = Recording(8, 16000).Samples.ToArray();
        using var scope = NewDisposeScope();
        var whole = builders.Llama.PromptT3(TestDevice.Place(tensor(samples)));
        var changed = samples.ToArray();
        Array.Reverse(changed, 6 * 16000, 2 * 16000);
        var other = builders.Llama.PromptT3(TestDevice.Place(tensor(changed)));
        Assert.Equal(150, whole.SpeechTokens.Count);
        Assert.Equal(whole.SpeechTokens, other.SpeechTokens);
        Assert.NotEqual(whole.SpeakerEmbedding, other.SpeakerEmbedding);
    }

    [Fact]
    public void Turbo_brings_every_recording_to_the_same_loudness()
    {
        var turbo = builders.Build(VoiceConfig.Turbo);
        var loud = turbo.Build(Recording(5.5, level: 0.5f));
        var quiet = turbo.Build(Recording(5.5, level: 0.005f));
        Assert.Equal(loud.S3Gen.Mel.Average(), quiet.S3Gen.Mel.Average(), 1e-3);
        Assert.NotEqual(loud.S3Gen.Mel.Average(), builders.Turbo.Build(Recording(5.5, level: 0.5f)).S3Gen.Mel.Average(), 0.5);
    }

    public static TheoryData<string, double, Func<float, int, float>> BadSamples =>
        new()
        {
            { "is silent", 3, (_, _) => 0 },
            { "is silent", 3, (_, _) => 0.7f },
            { "is silent", 3, (sample, _) => sample * 1e-3f },
            { "a sample that is NaN", 3, (_, _) => float.NaN },
            { "a sample that is Infinity", 3, (sample, i) => i == 40000 ? float.PositiveInfinity : sample },
            { "lasts 0.02 s; this model needs more than 1 s", 0.02, (sample, _) => sample },
            { "lasts 1 s; this model needs more than 1 s", 1, (sample, _) => sample },
            { "lasts 0 s", 0, (sample, _) => sample },
            { "Only 0.", 3, (sample, i) => i is > 24000 and < 26000 ? sample : sample * 0.01f },
        };

    [Theory, MemberData(nameof(BadSamples))]
    public void Bad_recordings_are_refused_with_the_reason(string reason, double seconds, Func<float, int, float> spoil)
    {
        var recording = Recording(seconds);
        var spoilt = recording.Samples.ToArray().Select(spoil).ToArray();
        var error = Assert.Throws<VoiceException>(() => builders.Llama.Build(new(spoilt, 24000)));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Turbo_needs_more_than_five_seconds()
    {
        Assert.Contains(
            "more than 5 s",
            Assert.Throws<VoiceException>(() => builders.Turbo.Build(Recording(5))).Message,
            StringComparison.Ordinal
        );
        Assert.Equal(126, builders.Turbo.Build(Recording(5.01)).T3.SpeechTokens.Count);
    }
}
