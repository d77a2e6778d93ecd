using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Weights;

namespace Chatterbox.Tests.Parity;

public sealed class AudioFeaturesParityTests : IDisposable
{
    private readonly WeightStore _tables = new(new SyntheticTensors("tables", new Dictionary<string, SyntheticTensor>()));

    public static TheoryData<string> Files => Fixtures.All("audio");

    public void Dispose() => _tables.Dispose();

    [Theory, MemberData(nameof(Files))]
    public void Mel_filters_match(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        Close.Assert(golden, "mel_filters_s3tok", golden["mel_filters_s3tok"], MelFilters.Slaney(MelConfig.SpeechTokenizer, CPU), 1e-6);
    }

    [Theory, MemberData(nameof(Files))]
    public void Voice_encoder_mel_matches(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        var mel = new PowerMel(MelConfig.SpeakerEncoder, _tables.Root);
        Close.Assert(golden, "ve_mel", golden["ve_mel"], mel.Forward(VoiceInputs.Trimmed16(golden)).T, 1e-5);
    }

    [Theory, MemberData(nameof(Files))]
    public void Speech_tokenizer_mel_matches(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        var mel = new WhisperMel(MelConfig.SpeechTokenizer, _tables.Root);
        Close.Assert(golden, "s3tok_logmel", golden["s3tok_logmel"], mel.Forward(golden["wav16"]), 1e-5);
    }

    [Theory, MemberData(nameof(Files))]
    public void S3Gen_mel_matches(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        var mel = new MagnitudeMel(MelConfig.S3Gen, _tables.Root);
        Close.Assert(golden, "s3gen_mel24", golden["s3gen_mel24"], mel.Forward(golden["wav24"]), 1e-5);
    }

    [Theory, MemberData(nameof(Files))]
    public void Kaldi_filter_bank_matches(string path)
    {
        using var scope = NewDisposeScope();
        using var golden = Fixture.Open(path);
        var fbank = new KaldiFbank(80, _tables.Root);
        Close.Assert(golden, "fbank", golden["fbank"], fbank.Forward(golden["wav16"]), 1e-5);
    }
}
