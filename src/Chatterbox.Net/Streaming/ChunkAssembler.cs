using Chatterbox.HiFT;
using Chatterbox.Ops.Cuda;
using Chatterbox.S3Gen;
using Chatterbox.Watermark;

namespace Chatterbox.Streaming;

/// <summary>The speech tokens of an utterance so far to its next piece of watermarked sound: what
/// <see cref="Vocalist.SpeakText"/> and the watermark do at once, piece by piece.</summary>
internal sealed class ChunkAssembler : IDisposable
{
    // The whole draws mel's noise and the source's from one stream, in an order that needs the number of frames. Here each
    // has a stream of its own.
    private const long MelSeed = 0x536F_7571;
    private const long SourceSeed = 0x4869_4654;

    private readonly ChatterboxConfig _config;
    private readonly Vocalist _vocalist;
    private readonly NoiseSource _melNoise;
    private readonly NoiseSource _sourceNoise;
    private readonly S3GenStream _mel;
    private readonly HiFTStream _waveform;
    private readonly PerthStream _marked;

    /// <param name="config">The variant.</param>
    /// <param name="vocalist">Makes the sound.</param>
    /// <param name="watermarker">Marks it.</param>
    /// <param name="voice">Who speaks.</param>
    /// <param name="seed">The request's seed.</param>
    /// <param name="chunks">What S3Gen sees of past and prompt; sizes are not looked at.</param>
    public ChunkAssembler(ChatterboxConfig config, Vocalist vocalist, PerthWatermarker watermarker, S3GenPrompt voice, long seed, ChunkOptions chunks)
    {
        _config = config;
        _vocalist = vocalist;
        _melNoise = new(seed ^ MelSeed);
        _sourceNoise = new(seed ^ SourceSeed);
        _mel = vocalist.S3Gen.OpenStream(voice, _melNoise, chunks.LeftContext, chunks.FirstPrompt);
        _waveform = vocalist.HiFT.OpenStream(_sourceNoise);
        _marked = watermarker.OpenStream(SpeechResult.SampleRate);
    }

    /// <summary>Speech tokens that have to follow one before all of it can be heard, unless the speech ends.</summary>
    public int Lag
    {
        get
        {
            var samples = ((_vocalist.HiFT.Lookahead + _mel.ExtraFrames) * _vocalist.HiFT.SamplesPerFrame) + _marked.Lookahead;
            return _config.S3Gen.Encoder.Lookahead + ((samples + _vocalist.SamplesPerToken - 1) / _vocalist.SamplesPerToken);
        }
    }

    /// <summary>Tokens that the last pass of S3Gen went over: those of the prompt that it saw, some of the past, and what had been no sound yet.</summary>
    public int PassTokens => _mel.PassFrames / _config.S3Gen.Encoder.Upsampling;

    /// <summary>Makes the next piece.</summary>
    /// <param name="speechTokens">All tokens of the text so far.</param>
    /// <param name="last">True where no token follows.</param>
    /// <param name="cancel">Looked at before each step of the flow.</param>
    /// <returns>Samples at 24 kHz; none if too few tokens have come.</returns>
    public float[] Next(IReadOnlyList<int> speechTokens, bool last, CancellationToken cancel)
    {
        using var scope = NewDisposeScope();
        IReadOnlyList<int> said = last ? [.. speechTokens, .. _config.TailTokens] : speechTokens;
        var made = _waveform.Frames * _vocalist.HiFT.SamplesPerFrame;
        var mel = _mel.Next(said, _waveform.Frames, last, cancel);
        var samples = _vocalist.HiFT.FadeIn(_waveform.Next(mel, last), made).squeeze(0);
        var kept = last ? Math.Min(samples.size(0), _vocalist.LengthOf(speechTokens.Count) - made) : samples.size(0);
        return HostCopies.Read(_marked.Next(samples.narrow(0, 0, kept), last));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _mel.Dispose();
        _waveform.Dispose();
        _marked.Dispose();
        _melNoise.Dispose();
        _sourceNoise.Dispose();
    }
}
