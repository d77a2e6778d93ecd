using Microsoft.Extensions.Logging;

namespace Chatterbox.Engine;

/// <summary>What a model does for a request before it is another's turn: a piece of text, a chunk of one, or a stretch of a recording.</summary>
/// <param name="options">Limits.</param>
/// <param name="logger">Where the engine tells what it does; never the texts.</param>
/// <param name="time">The clock.</param>
/// <param name="metrics">Where the engine measures its work; null measures nothing.</param>
/// <param name="spoke">Told a piece's characters and the time it took.</param>
internal sealed class Turn(EngineOptions options, ILogger logger, TimeProvider time, EngineMetrics? metrics, Action<int, TimeSpan> spoke)
{
    /// <summary>Takes the turn, on the model's thread.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sequence">The request.</param>
    /// <exception cref="OperationCanceledException">The request has ended.</exception>
    public AudioChunk Take(ISpeechModel model, SpeechSequence sequence)
    {
        var voice = sequence.Request.Voice ?? model.BuiltInVoice
            ?? throw new VoiceException("The model has no voice of its own. Send a request with a voice made from a recording.");
        return sequence.Request switch
        {
            SpeechRequest { Chunks: { } chunks } request => SpeakChunk(model, request, chunks, voice, sequence),
            SpeechRequest request => SpeakPiece(model, request, voice, sequence),
            ConversionRequest request => Convert(model, request, voice, sequence),
            _ => throw new NotSupportedException($"The engine does not know requests of type {sequence.Request.GetType()}."),
        };
    }

    private AudioChunk SpeakPiece(ISpeechModel model, SpeechRequest request, Voice voice, SpeechSequence sequence)
    {
        var (piece, started) = (sequence.NextPiece, time.GetTimestamp());
        var (text, sampling) = (request.Pieces[piece], request.SamplingOf(piece));
        SpeechResult Synthesize(SamplingOptions options) => model.Synthesize(text, voice, options, request.Language, progress: null, sequence.Ended);
        var (speech, repair) = options.GuardQuality ? QualityGuard.Speak(text, sampling, Synthesize) : (Synthesize(sampling), null);
        return Last(request, piece, speech, repair, speech.Samples.Length, time.GetElapsedTime(started));
    }

    /// <summary>The next chunk of a piece. A piece that is all in its first chunk is guarded as if it had been spoken whole; of
    /// others, what has been heard cannot be spoken again.</summary>
    private AudioChunk SpeakChunk(ISpeechModel model, SpeechRequest request, ChunkOptions chunks, Voice voice, SpeechSequence sequence)
    {
        var (piece, started) = (sequence.NextPiece, time.GetTimestamp());
        var (text, sampling) = (request.Pieces[piece], request.SamplingOf(piece));
        sampling = options.GuardQuality ? QualityGuard.Limit(text, sampling) : sampling;
        var isFirst = sequence.Work is null;
        var work = sequence.Work ??= new(model, model.OpenStream(text, voice, sampling, chunks with { EndsWhenStuck = options.GuardQuality }, request.Language));
        var stream = (IChunkedSpeech)work.Doing;
        var samples = stream.NextChunk(sequence.Ended);
        if (!stream.IsOver)
        {
            work.Taken += time.GetElapsedTime(started);
            work.Samples += samples.Length;
            return new AudioChunk(piece, samples, EndsPiece: false, TextTokens: 0, SpeechTokens: 0) { UnknownCharacters = stream.UnknownCharacters };
        }

        var speech = new SpeechResult(samples, stream.TextTokens, stream.SpeechTokens, stream.ReachedLimit) { UnknownCharacters = stream.UnknownCharacters };
        SpeechResult Synthesize(SamplingOptions options) => model.Synthesize(text, voice, options, request.Language, progress: null, sequence.Ended);
        (speech, var repair) = !options.GuardQuality ? (speech, null) : isFirst ? QualityGuard.Mend(speech, sampling, Synthesize) : QualityGuard.Cut(speech);
        var last = Last(request, piece, speech, repair, work.Samples + speech.Samples.Length, work.Taken + time.GetElapsedTime(started));
        sequence.EndWork();
        return last;
    }

    /// <summary>What ends a piece.</summary>
    private AudioChunk Last(SpeechRequest request, int piece, SpeechResult speech, string? repair, int samples, TimeSpan taken)
    {
        if (repair is not null)
        {
            logger.LogInformation("Piece {Piece} of request {Request}: {Repair}", piece + 1, request.Name, repair);
        }

        if (speech.UnknownCharacters.Count > 0)
        {
            logger.LogWarning("Piece {Piece} of request {Request} has characters that the model does not know: {Characters}", piece + 1, request.Name, string.Join(' ', speech.UnknownCharacters));
        }

        spoke(request.Pieces[piece].Length, taken);
        metrics?.Spoke(samples, speech.TextTokens, speech.SpeechTokens.Count, taken);
        return new AudioChunk(piece, speech.Samples, EndsPiece: true, speech.TextTokens, speech.SpeechTokens.Count) { Repair = repair, UnknownCharacters = speech.UnknownCharacters };
    }

    /// <summary>The next stretch of a recording.</summary>
    private AudioChunk Convert(ISpeechModel model, ConversionRequest request, Voice voice, SpeechSequence sequence)
    {
        var started = time.GetTimestamp();
        var work = sequence.Work ??= new(model, model.BeginConversion(request.Recording, voice, request.Seed));
        var conversion = (IVoiceConversion)work.Doing;
        var samples = conversion.ConvertNext(progress: null, sequence.Ended);
        metrics?.Made(samples.Length, time.GetElapsedTime(started));
        return new AudioChunk(Piece: 0, samples, conversion.IsOver, TextTokens: 0, conversion.IsOver ? conversion.SpeechTokens.Count : 0);
    }
}
