using Chatterbox.Engine;
using Chatterbox.T3;

namespace Chatterbox.Streaming;

/// <summary>One piece of text in a model: its speech tokens as they come, and the state of what turns them into audio.</summary>
/// <remarks>
/// A chunk is due once T3 has made the tokens that the plan has for it, and it is made of those tokens alone, however far T3 has
/// come by then. T3's place is free as soon as the last token is known.
/// </remarks>
internal sealed class Utterance : IUtterance
{
    private readonly T3Config _config;
    private readonly T3Sequence _sequence;
    private readonly RepetitionDetector? _repetition;
    private readonly ChunkPlan? _plan;
    private readonly ModelSpeed? _pace;
    private readonly List<int> _speechTokens = [];
    private int _received;
    private int _chunks;
    private bool _isStuck;
    private bool _isTaken; // to the last chunk

    /// <param name="config">The variant.</param>
    /// <param name="sequence">The piece in T3's decoder; goes with the utterance.</param>
    /// <param name="state">What audio is made with; goes with the utterance.</param>
    /// <param name="plan">How many tokens each chunk has; null makes all of the speech one chunk.</param>
    /// <param name="pace">How fast the model is; null where that is not known.</param>
    /// <param name="endsWhenStuck">Whether speech ends that repeats the same few tokens for long.</param>
    public Utterance(T3Config config, T3Sequence sequence, VoicingState state, ChunkPlan? plan, ModelSpeed? pace, bool endsWhenStuck)
    {
        (_config, _sequence, State, _plan, _pace) = (config, sequence, state, plan, pace);
        _repetition = endsWhenStuck ? new() : null;
    }

    /// <inheritdoc/>
    public required int TextTokens { get; init; }

    /// <inheritdoc/>
    public required IReadOnlyList<string> UnknownCharacters { get; init; }

    /// <inheritdoc/>
    public IReadOnlyList<int> SpeechTokens => _speechTokens;

    /// <inheritdoc/>
    public bool ReachedLimit => _isStuck || _sequence.ReachedLimit;

    /// <inheritdoc/>
    public IReadOnlyList<SynthesisStage> Recovered =>
        [.. new[] { _sequence.Recovered ? SynthesisStage.T3 : (SynthesisStage?)null, State.Recovered }.OfType<SynthesisStage>()];

    /// <inheritdoc/>
    public bool NeedsSteps => !_isStuck && !_sequence.Finished;

    /// <inheritdoc/>
    public bool IsDue => !_isTaken && (!NeedsSteps || _speechTokens.Count >= Wanted);

    /// <inheritdoc/>
    public TimeSpan? NextTakes => _pace is null || _plan is null || _isTaken ? null : _plan.TimeFor(_chunks, _speechTokens.Count, _pace);

    /// <summary>The piece in T3's decoder.</summary>
    public T3Sequence Sequence => _sequence;

    /// <summary>What audio is made with.</summary>
    public VoicingState State { get; }

    /// <summary>The chunk that was taken last.</summary>
    public TakenChunk Taken { get; private set; }

    private int Wanted => _plan?.TokensFor(_chunks) ?? int.MaxValue;

    /// <summary>Takes in what the decoder's step has brought.</summary>
    public void Receive()
    {
        while (_received < _sequence.SpeechTokens.Count && !_isStuck)
        {
            var token = _sequence.SpeechTokens[_received++];
            _isStuck = _repetition?.Add(token) ?? false;
            _speechTokens.AddRange(_config.SpeechCodesOf([token]));
        }

        if (!NeedsSteps)
        {
            _sequence.Dispose(); // the random numbers stand where it left them
        }
    }

    /// <inheritdoc/>
    public void TakeChunk()
    {
        _isTaken = _speechTokens.Count < Wanted;
        Taken = new([.. _speechTokens.Take(Wanted)], IsFirst: _chunks == 0, IsLast: _isTaken, IsInvalid: _isTaken && _sequence.IsInvalid);
        _chunks++;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sequence.Dispose();
        State.Dispose();
    }
}

/// <summary>A chunk that was set aside.</summary>
/// <param name="SpeechTokens">All of the utterance's tokens up to its end and what it looks ahead to.</param>
/// <param name="IsFirst">Whether nothing came before it.</param>
/// <param name="IsLast">Whether the speech ends with it.</param>
/// <param name="IsInvalid">Whether T3 failed before it reached the chunk's end.</param>
internal readonly record struct TakenChunk(IReadOnlyList<int> SpeechTokens, bool IsFirst, bool IsLast, bool IsInvalid);

/// <summary>What an utterance's audio is made with.</summary>
/// <param name="lanes">Where it is made.</param>
/// <param name="voice">The speaker.</param>
/// <param name="seed">The request's seed.</param>
internal sealed class VoicingState(VoiceLanes lanes, S3GenPrompt voice, long seed) : IDisposable
{
    private bool _isDisposed;

    /// <summary>The lane that all of its audio is made on.</summary>
    public int Lane { get; } = lanes.Join();

    /// <summary>The speaker.</summary>
    public S3GenPrompt Voice => voice;

    /// <summary>The request's random numbers.</summary>
    public NoiseSource Noise { get; } = new(seed);

    /// <summary>Makes chunks; null where all of the speech is one.</summary>
    public ChunkAssembler? Assembler { get; private set; }

    /// <summary>The stage that failed, if its work was computed again with plain operations.</summary>
    public SynthesisStage? Recovered { get; set; }

    /// <summary>Makes the speech in chunks.</summary>
    /// <param name="open">Opens what makes them.</param>
    public void MakeChunks(Func<ChunkAssembler> open)
    {
        using var torch = lanes.Enter(Lane);
        Assembler = open();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_isDisposed)
        {
            _isDisposed = true;
            Assembler?.Dispose();
            Noise.Dispose();
            lanes.Leave(Lane);
        }
    }
}
