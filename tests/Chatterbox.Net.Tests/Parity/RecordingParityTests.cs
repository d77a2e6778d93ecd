using Chatterbox.Audio;
using Chatterbox.Tests.Audio;

namespace Chatterbox.Tests.Parity;

/// <summary>From PCM to 24 and 16 kHz, silence trimmed, loudness measured: the audio front end before any spectrum.</summary>
public class RecordingParityTests
{
    public static TheoryData<string> Audio => Fixtures.All("audio");

    public static TheoryData<string> Perth => Fixtures.All("perth");

    [Theory, MemberData(nameof(Audio))]
    public void Resampling_is_soxr_hqs(string path)
    {
        using var golden = Fixture.Open(path);
        var rate = (int)golden.Integer("sr");
        AssertResamples(golden, "raw to wav24", Mono(golden["raw"]), rate, "wav24", 24000);
        AssertResamples(golden, "wav24 to wav16", Floats(golden["wav24"]), 24000, "wav16", 16000);
    }

    [Theory, MemberData(nameof(Perth))]
    public void Resampling_for_the_watermark_is_soxr_hqs(string path)
    {
        using var golden = Fixture.Open(path);
        AssertResamples(golden, "clip to clip32", Floats(golden["clip"]), 24000, "clip32", 32000);
    }

    [Theory, MemberData(nameof(Audio))]
    public void Silence_is_trimmed_at_the_same_samples(string path)
    {
        using var golden = Fixture.Open(path);
        var (start, end) = SilenceTrimmer.Bounds(Floats(golden["wav16"]));
        Close.AssertEqual(golden, "trim_index", golden["trim_index"], tensor(new long[] { start, end }));
    }

    [Theory, MemberData(nameof(Audio))]
    public void Loudness_is_pyloudnorms(string path)
    {
        using var golden = Fixture.Open(path);
        var recording = Path.Combine(Fixtures.Root, "audio", golden.Metadata["wav_b"]);
        Assert.SkipUnless(File.Exists(recording), $"{golden.Metadata["wav_b"]} is not in tests/fixtures/audio.");
        var clip = AudioFile.Load(recording, TestContext.Current.CancellationToken);
        var lufs = Loudness.Integrated(Resampler.Resample(clip.Samples.ToArray(), clip.SampleRate, 24000), 24000);
        Close.Report($"{golden.Name} loudness: {lufs} LUFS, theirs {golden.Metadata["loudness_wav_b"]}");

        // Decoders of MP3 differ in where they begin.
        Assert.Equal(golden.Number("loudness_wav_b"), lufs, recording.EndsWith(".mp3", StringComparison.Ordinal) ? 0.05 : 1e-4);
    }

    [Theory, MemberData(nameof(Audio))]
    public void A_wav_file_is_read_as_recorded(string path)
    {
        using var golden = Fixture.Open(path);
        var recording = Path.Combine(Fixtures.Root, "audio", golden.Metadata["wav"]);
        Assert.SkipUnless(File.Exists(recording), $"{golden.Metadata["wav"]} is not in tests/fixtures/audio.");
        var clip = WavFile.Read(recording, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(golden.Integer("sr"), clip.SampleRate);
        Assert.Equal(Mono(golden["raw"]), clip.Samples);
    }

    // The bound of parity/README.md, away from the ends; whole signals come as close.
    private static void AssertResamples(Fixture golden, string what, float[] samples, int from, string name, int to)
    {
        var theirs = golden[name];
        var ours = tensor(Resampler.Resample(samples, from, to));
        var margin = to / 20;
        Close.Assert(golden, what + ", all of it", theirs, ours, 1e-3);
        Close.Assert(golden, what + ", less 0.05 s at both ends", theirs[margin..^margin], ours[margin..^margin], 1e-3);
        Assert.True(Close.RelativeError(theirs, ours) <= (from == to || SignalReference.SoxrHasOneFilter(from, to) ? 2e-6 : 1e-3));
    }

    // As soundfile and librosa make it of PCM: full scale at 1, the mean of the channels.
    private static float[] Mono(Tensor raw)
    {
        using var scope = NewDisposeScope();
        var scaled = raw.dtype switch
        {
            ScalarType.Int16 => raw.to(ScalarType.Float32) / 32768f,
            ScalarType.Int32 => raw.to(ScalarType.Float32) / 2147483648f,
            ScalarType.Byte => (raw.to(ScalarType.Float32) - 128) / 128f,
            _ => raw.to(ScalarType.Float32),
        };
        return Floats(scaled.dim() == 1 ? scaled : scaled.mean([1]));
    }

    private static float[] Floats(Tensor samples) => samples.contiguous().data<float>().ToArray();
}
