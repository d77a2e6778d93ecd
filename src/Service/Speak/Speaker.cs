using System.Runtime.CompilerServices;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Chatterbox.Text;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Speak;

/// <summary>Speaks as <c>/speak</c> promises: sentence by sentence, or chunk by chunk, as events, or into a file.</summary>
internal sealed class Speaker(
    SpeechDesk desk,
    ModelFleet fleet,
    SpokenForms forms,
    VoiceFolder folder,
    VoiceCache voices,
    FinishedFiles files,
    IOptions<StreamingOptions> streaming,
    ILogger<Speaker> logger
)
{
    private const string Route = "/speak";

    /// <summary>Queues a text's sentences.</summary>
    /// <returns>Their events, errors included.</returns>
    public async Task<IAsyncEnumerable<SpeakEvent>> Stream(SpeakRequest body, HttpContext http)
    {
        var (text, _, truncated) = Read(body);
        if (truncated)
        {
            http.Response.Headers["X-Chatterbox-Truncated"] = "true"; // as its first event does
        }

        var sentences = TextCleaner.Sentences(text);
        var form = forms.Of(fleet.Default.Served);
        var plans = sentences.Select(sentence => TextPlan.OfSentence(sentence, "text", form)).ToList();
        var voice = await FindVoice(body, http);
        var job = desk.Submit(http, Route, fleet.Default, Request(body, [.. plans.SelectMany(plan => plan.Pieces)], voice.Voice));
        return Tell(job, body.Chunk, truncated, sentences, plans, http.TraceIdentifier, http.RequestAborted);
    }

    /// <summary>Speaks a text into a file.</summary>
    public async Task<SpeakSaved> Save(SpeakRequest body, HttpContext http)
    {
        var cancellationToken = http.RequestAborted;
        var (text, length, truncated) = Read(body);
        var plan = TextPlan.Of(text, "text", form: forms.Of(fleet.Default.Served));
        var voice = await FindVoice(body, http);
        var job = desk.Submit(http, Route, fleet.Default, Request(body, plan.Pieces, voice.Voice));
        var samples = new List<float>();
        try
        {
            var speech = new JoinedSpeech(plan);
            await foreach (var block in speech.Blocks(job.Events, cancellationToken))
            {
                samples.AddRange(block.Span);
            }

            SpeechHeaders.Set(http.Response.Headers, speech);
        }
        catch (ModelFailedException)
        {
            throw SpeakErrors.Failed; // the engine has logged why
        }

        var id = await files.Save(samples.ToArray(), cancellationToken);
        return new SpeakSaved(
            "success",
            $"/audio/{id}",
            voice.Name is not null,
            voice.Name ?? "default",
            body.Exaggeration,
            length,
            truncated
        );
    }

    private static (string Text, int Length, bool Truncated) Read(SpeakRequest body)
    {
        CheckRange(body.Exaggeration, "exaggeration");
        CheckRange(body.CfgWeight, "cfg_weight");
        if (body is { Chunk: true, Stream: false })
        {
            throw new RequestException("'chunk' is for streams. Send 'stream': true with it, or leave it out.", "chunk");
        }

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

    private SpeechRequest Request(SpeakRequest body, IReadOnlyList<string> pieces, Voice? voice) =>
        new()
        {
            Pieces = pieces,
            Voice = voice,
            Sampling = new SamplingOptions
            {
                Seed = body.Seed,

                // These clients always send both; a model without them speaks all the same.
                Exaggeration = fleet.Default.Served.Lacks.Contains("exaggeration") ? null : body.Exaggeration,
                CfgWeight = fleet.Default.Served.Lacks.Contains("cfg_weight") ? null : body.CfgWeight,
            },
            Chunks = body.Chunk ? streaming.Value.Chunks() : null,
        };

    /// <summary>Finds the voice, and names it in the answer's header: an unknown name speaks with the default voice, which existing clients
    /// rely on.</summary>
    private async Task<(string? Name, Voice? Voice)> FindVoice(SpeakRequest body, HttpContext http)
    {
        var entry = body.Voice == "default" ? null : folder.FindForSpeak(body.Voice);
        VoiceHeader.Set(http.Response.Headers, entry?.Id ?? "default");
        return entry is null
            ? (null, null)
            : (entry.Id, await voices.GetAsync(entry, fleet.Default, Clients.Of(http), http.RequestAborted));
    }

    private async IAsyncEnumerable<SpeakEvent> Tell(
        SpeechJob job,
        bool byChunk,
        bool truncated,
        IReadOnlyList<string> sentences,
        IReadOnlyList<TextPlan> plans,
        string requestId,
        [EnumeratorCancellation] CancellationToken cancellationToken
    )
    {
        await using var events = job.Events.GetAsyncEnumerator(CancellationToken.None);
        var index = 0;
        foreach (var (i, plan) in plans.Index())
        {
            await foreach (var wav in Files(plan, byChunk, events, requestId, cancellationToken))
            {
                bool? wasCut = truncated && index == 0 ? true : null;
                if (wav is null)
                {
                    yield return new SpeakFailure(index, SentenceIndex: byChunk ? i : null, Truncated: wasCut);
                }
                else
                {
                    var follow = sentences.Count - i - 1;
                    yield return byChunk
                        ? new SpeakChunk(
                            index,
                            index + 1 + follow,
                            sentences[i],
                            wav.Length,
                            SentenceIndex: i,
                            TotalSentences: sentences.Count,
                            Truncated: wasCut
                        )
                        : new SpeakChunk(index, sentences.Count, sentences[i], wav.Length, Truncated: wasCut);
                    yield return new SpeakAudio(wav, index, byChunk ? i : null);
                }

                index++;
            }
        }

        await MoveNext(events, requestId, cancellationToken); // the request is over once its last event is read
        yield return new SpeakComplete("complete", index);
    }

    /// <summary>The WAV files of one sentence: one for all of it, or one for each chunk. Null where a piece of it failed, or the
    /// request was ended early.</summary>
    private async IAsyncEnumerable<byte[]?> Files(
        TextPlan plan,
        bool byChunk,
        IAsyncEnumerator<SpeechEvent> events,
        string requestId,
        [EnumeratorCancellation] CancellationToken cancellationToken
    )
    {
        var (speech, left, failed, some) = (new JoinedSpeech(plan), plan.Pieces.Count, false, false);
        List<float> heard = [.. left == 0 ? JoinedSpeech.Silence(plan.PausesSeconds[0]) : []];
        while (left > 0 && await MoveNext(events, requestId, cancellationToken))
        {
            if (events.Current is AudioChunk chunk && !failed)
            {
                heard.AddRange(speech.Join(chunk with { Piece = plan.Pieces.Count - left }));
            }

            failed |= events.Current is PieceFailed; // the engine has logged why
            left -= events.Current is AudioChunk { EndsPiece: false } ? 0 : 1;
            if (byChunk && heard.Count > 0 && !failed)
            {
                yield return WavFormat.File([.. heard]);
                heard.Clear();
                some = true;
            }
        }

        if (failed || left > 0 || (heard.Count == 0 && !some))
        {
            yield return null;
        }
        else if (heard.Count > 0)
        {
            yield return WavFormat.File([.. heard]);
        }
    }

    private async Task<bool> MoveNext(IAsyncEnumerator<SpeechEvent> events, string requestId, CancellationToken cancellationToken)
    {
        try
        {
            return await events.MoveNextAsync();
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            logger.LogWarning(e, "The stream of request {RequestId} ended early", requestId);
            return false;
        }
    }
}
