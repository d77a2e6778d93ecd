using Chatterbox.HiFT;
using Chatterbox.S3Gen;
using Chatterbox.Watermark;

namespace Chatterbox.Streaming;

/// <summary>The speech tokens of an utterance so far to its next piece of watermarked sound: what
/// <see cref="SpeechDecoder.SpeakText"/> and the watermark do at once, piece by piece.</summary>
/// <remarks>Where the output of a stage is not finite, all passes so far are computed once more by <see cref="SpeechDecoder.Plain"/>, from
/// the same random numbers: the sound continues as it would have been, but for rounding.</remarks>
internal sealed class ChunkAssembler : IDisposable
{
    private readonly Func<SpeechDecoder, Passage> _open;
    private readonly List<int> _passes = []; // the speech tokens that each pass knew
    private readonly SpeechDecoder _speechDecoder;
    private Passage _passage;

    /// <param name="config">The variant.</param>
    /// <param name="speechDecoder">Makes the sound.</param>
    /// <param name="watermarker">Marks it.</param>
    /// <param name="voice">Who speaks.</param>
    /// <param name="seed">The request's seed.</param>
    /// <param name="chunks">What S3Gen sees of past and prompt; sizes are not looked at.</param>
    public ChunkAssembler(
        ChatterboxConfig config,
        SpeechDecoder speechDecoder,
        PerthWatermarker watermarker,
        S3GenPrompt voice,
        long seed,
        ChunkOptions chunks
    )
    {
        _open = speaker => new(config, speaker, watermarker, voice, seed, chunks);
        _speechDecoder = speechDecoder;
        _passage = _open(speechDecoder);
    }

    /// <inheritdoc cref="Passage.Lag"/>
    public int Lag => _passage.Lag;

    /// <inheritdoc cref="Passage.PassTokens"/>
    public int PassTokens => _passage.PassTokens;

    /// <summary>The stage that failed, if the sound is made by the plain operations since.</summary>
    public SynthesisStage? Recovered { get; private set; }

    /// <summary>Makes the next piece.</summary>
    /// <param name="speechTokens">All tokens of the text so far.</param>
    /// <param name="last">True where no token follows.</param>
    /// <param name="cancellationToken">Looked at before each step of the flow.</param>
    /// <returns>Samples at 24 kHz; none if too few tokens have come.</returns>
    /// <exception cref="InvalidOutputException">The output of a stage is not finite.</exception>
    public float[] Next(IReadOnlyList<int> speechTokens, bool last, CancellationToken cancellationToken)
    {
        using var piece = Begin(speechTokens, last);
        return piece.Run(progress: null, cancellationToken);
    }

    /// <summary>Begins the next piece.</summary>
    /// <param name="speechTokens">All tokens of the text so far.</param>
    /// <param name="last">True where no token follows.</param>
    /// <returns>The piece on its way; it ends before the next begins.</returns>
    public IStagedAudio Begin(IReadOnlyList<int> speechTokens, bool last) => new Piece(this, speechTokens, last);

    /// <inheritdoc/>
    public void Dispose() => _passage.Dispose();

    private float[] MakePlain(IReadOnlyList<int> speechTokens, bool last, CancellationToken cancellationToken)
    {
        _passage.Dispose();
        _passage = _open(_speechDecoder.Plain());
        foreach (var known in _passes)
        {
            Make([.. speechTokens.Take(known)], isLast: false);
        }

        return Make(speechTokens, last);

        float[] Make(IReadOnlyList<int> tokens, bool isLast)
        {
            using var scope = NewDisposeScope();
            using var checks = new OutputChecks();
            var pass = _passage.Begin(tokens, isLast);
            var mel = pass is null ? null : _passage.Flow.Integrate(pass, progress: null, cancellationToken);
            return checks.Read(_passage.Continue(mel, tokens.Count, isLast, checks), SynthesisStage.Watermark);
        }
    }

    /// <summary>One piece on its way.</summary>
    private sealed class Piece(ChunkAssembler assembler, IReadOnlyList<int> speechTokens, bool last) : IStagedAudio
    {
        private readonly OutputChecks _checks = new();
        private Tensor? _samples;

        public FlowMatching Flow => assembler._passage.Flow;

        public FlowPass? Begin() => assembler._passage.Begin(speechTokens, last);

        public void Continue(Tensor? mel) =>
            _samples = assembler._passage.Continue(mel, speechTokens.Count, last, _checks).DetachFromDisposeScope();

        public float[] Read(CancellationToken cancellationToken)
        {
            float[] samples;
            try
            {
                samples = _checks.Read(_samples!, SynthesisStage.Watermark);
            }
            catch (InvalidOutputException e) when (assembler.Recovered is null)
            {
                assembler.Recovered = e.Stage;
                samples = assembler.MakePlain(speechTokens, last, cancellationToken);
            }

            assembler._passes.Add(speechTokens.Count);
            return samples;
        }

        public void Dispose()
        {
            _samples?.Dispose();
            _checks.Dispose();
        }
    }

    /// <summary>What the stages carry from one piece of an utterance to the next.</summary>
    private sealed class Passage : IDisposable
    {
        // The whole draws mel's noise and the source's from one stream, in an order that needs the number of frames. Here each
        // has a stream of its own.
        private const long MelSeed = 0x536F_7571;
        private const long SourceSeed = 0x4869_4654;

        private readonly ChatterboxConfig _config;
        private readonly SpeechDecoder _speechDecoder;
        private readonly NoiseSource _melNoise;
        private readonly NoiseSource _sourceNoise;
        private readonly S3GenStream _mel;
        private readonly HiFTStream _waveform;
        private readonly PerthStream _marked;

        public Passage(
            ChatterboxConfig config,
            SpeechDecoder speechDecoder,
            PerthWatermarker watermarker,
            S3GenPrompt voice,
            long seed,
            ChunkOptions chunks
        )
        {
            _config = config;
            _speechDecoder = speechDecoder;
            _melNoise = new(seed ^ MelSeed);
            _sourceNoise = new(seed ^ SourceSeed);
            _mel = speechDecoder.S3Gen.OpenStream(voice, _melNoise, chunks.LeftContext, chunks.FirstPrompt);
            _waveform = speechDecoder.HiFT.OpenStream(_sourceNoise);
            _marked = watermarker.OpenStream(SpeechResult.SampleRate);
        }

        /// <summary>Speech tokens that have to follow one before all of it can be heard, unless the speech ends.</summary>
        public int Lag
        {
            get
            {
                var samples =
                    ((_speechDecoder.HiFT.Lookahead + _mel.ExtraFrames) * _speechDecoder.HiFT.SamplesPerFrame) + _marked.Lookahead;
                return _config.S3Gen.Encoder.Lookahead + ((samples + _speechDecoder.SamplesPerToken - 1) / _speechDecoder.SamplesPerToken);
            }
        }

        /// <summary>Tokens that the last pass of S3Gen included: those of the prompt that it saw, some of the past, and those that
        /// had not become sound.</summary>
        public int PassTokens => _mel.PassFrames / _config.S3Gen.Encoder.Upsampling;

        /// <summary>The flow between <see cref="Begin"/> and <see cref="Continue"/>.</summary>
        public FlowMatching Flow => _speechDecoder.S3Gen.Flow;

        /// <summary>Begins a piece; <see cref="Continue"/> follows.</summary>
        public FlowPass? Begin(IReadOnlyList<int> speechTokens, bool last)
        {
            IReadOnlyList<int> said = last ? [.. speechTokens, .. _config.TailTokens] : speechTokens;
            return _mel.Begin(said, _waveform.Frames, last);
        }

        /// <summary>Makes the piece's samples, of what the flow made.</summary>
        public Tensor Continue(Tensor? flowed, int speechTokens, bool last, OutputChecks checks)
        {
            using var scope = NewDisposeScope();
            var made = _waveform.Frames * _speechDecoder.HiFT.SamplesPerFrame;
            var mel = _mel.End(flowed);
            checks.Add(SynthesisStage.S3Gen, mel);
            var samples = _speechDecoder.HiFT.FadeIn(_waveform.Next(mel, last), made).squeeze(0);
            checks.Add(SynthesisStage.HiFT, samples);
            var kept = last ? Math.Min(samples.size(0), _speechDecoder.LengthOf(speechTokens) - made) : samples.size(0);
            return _marked.Next(samples.narrow(0, 0, kept), last).MoveToOuterDisposeScope();
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
}
