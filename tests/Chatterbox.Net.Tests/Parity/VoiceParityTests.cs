using Chatterbox.Audio;
using Chatterbox.Tests.Voices;

namespace Chatterbox.Tests.Parity;

public sealed class VoiceParityTests(VoiceNetworks networks) : IClassFixture<VoiceNetworks>
{
    public static TheoryData<string> Voices => Fixtures.All("voice");

    public static TheoryData<string> Conversions => Fixtures.All("vc");

    [Theory, MemberData(nameof(Voices))]
    public void Speaker_embedding_matches(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        using var audio = VoiceInputs.AudioOf(path);
        var ours = networks.SpeakerEncoder.Forward(VoiceInputs.Trimmed16(audio));
        Close.Assert(golden, "ve_embed", golden["ve_embed"][0], ours, 1e-5);
    }

    [Theory, MemberData(nameof(Voices))]
    public void Speech_tokens_match(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        using var audio = VoiceInputs.AudioOf(path);
        Close.AssertEqual(golden, "s3_tokens", golden["s3_tokens"], networks.SpeechTokenizer.Forward(audio["wav16"]));
    }

    [Theory, MemberData(nameof(Conversions))]
    public void Speech_tokens_of_a_conversion_match(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        Close.AssertEqual(golden, "tokens", golden["tokens"], networks.SpeechTokenizer.Forward(golden["source16"]));
    }

    [Theory, MemberData(nameof(Voices))]
    public void X_vector_matches(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        using var audio = VoiceInputs.AudioOf(path);
        var resampled = new SincResampler(24000, 16000, networks.Tables).Forward(audio["wav24"][..240000]);
        var fbank = new KaldiFbank(80, networks.Tables).Forward(resampled);
        Close.Assert(golden, "xvector", golden["xvector"][0], networks.CamPlus.Forward(fbank), 1e-5);
        Close.AssertEqual(golden, "prompt_token", golden["prompt_token"], networks.SpeechTokenizer.Forward(resampled)[..(int)golden["prompt_token"].shape[1]]);
    }
}
