using System.Runtime.CompilerServices;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;

namespace Chatterbox.Service.Speak;

/// <summary>Speaks as <c>/speak</c> promises: sentence by sentence as events, or into a file.</summary>
internal sealed class Speaker(
    SpeechDesk desk, ModelFleet fleet, VoiceFolder folder, VoiceCache voices, FinishedFiles files, ILogger<Speaker> logger)
{
    private const string Route = "/speak";

    /// <summary>Queues a text's sentences.</summary>
    /// <returns>Their events, which tell errors too.</returns>
    public async Task<IAsyncEnumerable<SpeakEvent>> Stream(SpeakRequest body, HttpContext http)
    {
        var (text, _, _) = Read(body);
        var sentences = TextCleaner.Sentences(text);
        var plans = sentences.Select(sentence => TextPlan.OfSentence(sentence, "text")).ToList();
        var voice = await FindVoice(body, http.RequestAborted);
        var job = desk.Submit(http, Route, fleet.Default, Request(body, [.. plans.SelectMany(plan => plan.Pieces)], voice.Voice));
        return Tell(job, sentences, plans, http.TraceIdentifier, http.RequestAborted);
    }

    /// <summary>Speaks a text into a file.</summary>
    public async Task<SpeakSaved> Save(SpeakRequest body, HttpContext http)
    {
        var cancel = http.RequestAborted;
        var (text, length, truncated) = Read(body);
        var plan = TextPlan.Of(text, "text");
        var voice = await FindVoice(body, cancel);
        var job = desk.Submit(http, Route, fleet.Default, Request(body, plan.Pieces, voice.Voice));
        var samples = new List<float>();
        try
        {
            var speech = new JoinedSpeech(plan, job.Events);
            await foreach (var block in speech.Blocks(cancel))
            {
                samples.AddRange(block);
            }

            speech.Tell(http.Response.Headers);
        }
        catch (PieceFailedException e) when (e.InnerException is not ChatterboxException)
        {
            throw SpeakErrors.Failed; // the engine has logged why
        }
        catch (PieceFailedException e)
        {
            throw e.InnerException!;
        }

        var id = await files.Save(samples.ToArray(), cancel);
        return new SpeakSaved("success", $"/audio/{id}", voice.Name is not null, voice.Name ?? "default", body.Exaggeration, length, truncated);
    }

    private static (string Text, int Length, bool Truncated) Read(SpeakRequest body)
    {
        CheckRange(body.Exaggeration, "exaggeration");
        CheckRange(body.CfgWeight, "cfg_weight");
        var text = TextCleaner.Clean(body.Text);
        return text.Length == 0 ? throw SpeakErrors.EmptyText : TextCleaner.Cut(text);
    }

    private static void CheckRange(double value, string name)
    {
        if (value is not (>= 0 and <= 2))
        {
            throw new RequestException($"'{name}' must be a number from 0 to 2.", name);
        }
    }

    private SpeechRequest Request(SpeakRequest body, IReadOnlyList<string> pieces, Voice? voice) => new()
    {
        Pieces = pieces,
        Voice = voice,
        Sampling = new SamplingOptions
        {
            // These clients always send both; a model without them speaks all the same.
            Exaggeration = fleet.Default.Served.Lacks.Contains("exaggeration") ? null : body.Exaggeration,
            CfgWeight = fleet.Default.Served.Lacks.Contains("cfg_weight") ? null : body.CfgWeight,
        },
    };

    /// <summary>A name that is not there speaks with the default voice: these clients rely on it.</summary>
    private async Task<(string? Name, Voice? Voice)> FindVoice(SpeakRequest body, CancellationToken cancel) =>
        body.Voice != "default" && folder.FindForSpeak(body.Voice) is { } entry ? (entry.Id, await voices.GetAsync(entry, fleet.Default, cancel)) : (null, null);

    private async IAsyncEnumerable<SpeakEvent> Tell(
        SpeechJob job, IReadOnlyList<string> sentences, IReadOnlyList<TextPlan> plans, string requestId, [EnumeratorCancellation] CancellationToken cancel)
    {
        await using var events = job.Events.GetAsyncEnumerator(CancellationToken.None);
        foreach (var (i, sentence) in sentences.Index())
        {
            if (await Hear(plans[i], events, requestId, cancel) is { } wav)
            {
                yield return new SpeakChunk(i, sentences.Count, sentence, wav.Length);
                yield return new SpeakAudio(wav, i);
            }
            else
            {
                yield return new SpeakFailure(i);
            }
        }

        await MoveNext(events, requestId, cancel); // the request is over once its last event is read
        yield return new SpeakComplete("complete", sentences.Count);
    }

    /// <summary>Waits for the pieces of one sentence.</summary>
    /// <returns>Its WAV file; null if one of them failed, or the request was ended early.</returns>
    private async Task<byte[]?> Hear(TextPlan plan, IAsyncEnumerator<SpeechEvent> events, string requestId, CancellationToken cancel)
    {
        var happened = new List<SpeechEvent>();
        for (var piece = 0; piece < plan.Pieces.Count;)
        {
            if (!await MoveNext(events, requestId, cancel))
            {
                return null;
            }

            happened.Add(events.Current switch
            {
                AudioChunk chunk => chunk with { Piece = piece },
                PieceFailed failed => failed with { Piece = piece },
                var other => other,
            });
            piece += events.Current is AudioChunk { EndsPiece: false } ? 0 : 1;
        }

        try
        {
            var samples = new List<float>();
            await foreach (var block in new JoinedSpeech(plan, happened.ToAsyncEnumerable()).Blocks(cancel))
            {
                samples.AddRange(block);
            }

            return samples.Count > 0 ? WavFormat.File([.. samples]) : null;
        }
        catch (PieceFailedException)
        {
            return null; // the engine has logged why
        }
    }

    private async Task<bool> MoveNext(IAsyncEnumerator<SpeechEvent> events, string requestId, CancellationToken cancel)
    {
        try
        {
            return await events.MoveNextAsync();
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            logger.LogWarning(e, "The stream of request {RequestId} ended early", requestId);
            return false;
        }
    }
}
