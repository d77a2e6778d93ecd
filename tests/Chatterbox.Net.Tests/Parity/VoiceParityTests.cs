using Chatterbox.Audio;
using Chatterbox.Tests.Voices;

namespace Chatterbox.Tests.Parity;

public sealed class VoiceParityTests(VoiceBuilders builders) : IClassFixture<VoiceBuilders>
{
    public static TheoryData<string> Voices => Fixtures.All("voice");

    public static TheoryData<string> TurboVoices => Fixtures.All("voice-turbo");

    public static TheoryData<string> Conversions => Fixtures.All("vc");

    [Theory, MemberData(nameof(Voices))]
    public void T3_prompt_matches(string path)
    {
        using var golden = Fixture.Open(path);
        using var audio = VoiceInputs.AudioOf(path);
        using var scope = NewDisposeScope();
        AssertT3(golden, builders.Llama.PromptT3(TestDevice.Place(audio["wav16"])), 1e-5);
    }

    [Theory, MemberData(nameof(Voices))]
    public void S3Gen_prompt_matches(string path)
    {
        using var golden = Fixture.Open(path);
        using var audio = VoiceInputs.AudioOf(path);
        using var scope = NewDisposeScope();
        AssertS3Gen(golden, builders.Reference.Forward(TestDevice.Place(audio["wav24"])), 1e-5);
    }

    [Theory, MemberData(nameof(Voices))]
    public void Speech_tokens_match(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        using var audio = VoiceInputs.AudioOf(path);
        Close.AssertEqual(
            golden,
            "s3_tokens",
            golden["s3_tokens"],
            builders.Reference.SpeechTokenizer.Forward(TestDevice.Place(audio["wav16"]))
        );
    }

    [Theory, MemberData(nameof(Conversions))]
    public void Speech_tokens_of_a_conversion_match(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        Close.AssertEqual(
            golden,
            "tokens",
            golden["tokens"],
            builders.Reference.SpeechTokenizer.Forward(TestDevice.Place(golden["source16"]))
        );
    }

    /// <summary>From the recorded PCM on, so through our own resampling, which is allowed to differ by a thousandth.</summary>
    [Theory, MemberData(nameof(Voices))]
    public void A_voice_matches_from_the_PCM_on(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        using var audio = VoiceInputs.AudioOf(path);
        var raw = audio["raw"];
        Assert.SkipUnless(raw.dtype == ScalarType.Int16, $"{audio.Name} holds {raw.dtype} samples.");
        var mono = raw.to(ScalarType.Float32).reshape(raw.shape[0], -1).mean([1]) / 32768;
        var voice = builders.Llama.Build(new AudioClip(Samples(mono), (int)audio.Integer("sr")));
        AssertT3(golden, voice.T3, 1e-3);
        AssertS3Gen(golden, voice.S3Gen, 1e-3);
    }

    /// <summary>From the recording itself, where it is at hand.</summary>
    [Theory, MemberData(nameof(TurboVoices))]
    public void A_voice_for_Turbo_matches_from_the_recording_on(string path)
    {
        using var golden = Fixture.Open(path);
        var recording = Path.Combine(Fixtures.Root, "audio", golden.Metadata["wav"]);
        Assert.SkipUnless(
            File.Exists(recording),
            $"{golden.Name} was recorded from {golden.Metadata["wav"]}, which is not in {Path.GetDirectoryName(recording)}."
        );
        var voice = builders.Turbo.Build(AudioFile.Load(recording, TestContext.Current.CancellationToken));
        AssertT3(golden, voice.T3, 1e-3);
        AssertS3Gen(golden, voice.S3Gen, 1e-3);
    }

    private static void AssertT3(Fixture golden, T3Prompt ours, double tolerance)
    {
        using var scope = NewDisposeScope();
        Close.Assert(golden, "ve_embed", golden["ve_embed"][0], tensor(ours.SpeakerEmbedding.ToArray()), tolerance);
        Close.AssertEqual(golden, "t3_prompt_tokens", golden["t3_prompt_tokens"], tensor(ours.SpeechTokens.ToArray()));
    }

    private static void AssertS3Gen(Fixture golden, S3GenPrompt ours, double tolerance)
    {
        using var scope = NewDisposeScope();
        Close.Assert(
            golden,
            "prompt_feat",
            golden["prompt_feat"][0],
            tensor(ours.Mel.ToArray()).reshape(-1, golden["prompt_feat"].shape[2]),
            tolerance
        );
        Close.Assert(golden, "xvector", golden["xvector"][0], tensor(ours.XVector.ToArray()), tolerance);
        Close.AssertEqual(golden, "prompt_token", golden["prompt_token"], tensor(ours.SpeechTokens.ToArray()));
    }

    private static float[] Samples(Tensor wav) => wav.data<float>().ToArray();
}
