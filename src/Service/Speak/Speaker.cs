using System.Runtime.CompilerServices;
using Chatterbox.Engine;
using Chatterbox.Service.Hosting;
using Chatterbox.Service.Models;
using Chatterbox.Service.Streaming;
using Chatterbox.Service.Voices;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Speak;

/// <summary>Speaks as <c>/speak</c> promises: sentence by sentence as events, or into a file.</summary>
internal sealed class Speaker(
    SpeechDesk desk, ModelFleet fleet, VoiceFolder folder, VoiceCache voices, IOptions<ServiceOptions> options, ILogger<Speaker> logger)
{
    private const string Route = "/speak";

    /// <summary>Queues a text's sentences.</summary>
    /// <returns>Their events, which tell errors too.</returns>
    public async Task<IAsyncEnumerable<SpeakEvent>> Stream(SpeakRequest body, HttpContext http)
    {
        var (text, _, _) = Read(body);
        var sentences = TextCleaner.Sentences(text);
        var voice = await FindVoice(body, http.RequestAborted);
        var job = desk.Submit(http, Route, fleet.Default, Request(body, sentences, voice.Voice));
        return Tell(job, sentences, http.RequestAborted);
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

            if (speech.Repairs.Count > 0)
            {
                http.Response.Headers["X-Chatterbox-Repairs"] = string.Join(", ", speech.Repairs);
            }
        }
        catch (PieceFailedException e) when (e.InnerException is not ChatterboxException)
        {
            throw SpeakErrors.Failed; // the engine has logged why
        }
        catch (PieceFailedException e)
        {
            throw e.InnerException!;
        }

        var id = Guid.NewGuid().ToString("N");
        var half = Path.Combine(options.Value.AudioFolder, $".{id}");
        await File.WriteAllBytesAsync(half, WavFormat.File([.. samples]), cancel);
        File.Move(half, PathOf(id)!);
        return new SpeakSaved("success", $"/audio/{id}", voice.Name is not null, voice.Name ?? "default", body.Exaggeration, length, truncated);
    }

    /// <summary>The finished file of this id; null if it cannot be one.</summary>
    public string? PathOf(string id) => Guid.TryParseExact(id, "N", out _) ? Path.Combine(options.Value.AudioFolder, $"{id.ToLowerInvariant()}.wav") : null;

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

    private async IAsyncEnumerable<SpeakEvent> Tell(SpeechJob job, IReadOnlyList<string> sentences, [EnumeratorCancellation] CancellationToken cancel)
    {
        var next = 0;
        var samples = new List<float>();
        await using var events = job.Events.GetAsyncEnumerator(CancellationToken.None);
        while (await MoveNext(events, cancel))
        {
            if (events.Current is AudioChunk { EndsPiece: false } part)
            {
                samples.AddRange(part.Samples);
                continue;
            }

            if (events.Current is AudioChunk last)
            {
                var wav = WavFormat.File([.. samples, .. last.Samples]);
                yield return new SpeakChunk(next, sentences.Count, sentences[next], wav.Length);
                yield return new SpeakAudio(wav, next);
            }
            else
            {
                yield return new SpeakFailure(next);
            }

            samples.Clear();
            next++;
        }

        for (; next < sentences.Count; next++) // the request was ended early
        {
            yield return new SpeakFailure(next);
        }

        yield return new SpeakComplete("complete", sentences.Count);
    }

    private async Task<bool> MoveNext(IAsyncEnumerator<SpeechEvent> events, CancellationToken cancel)
    {
        try
        {
            return await events.MoveNextAsync();
        }
        catch (Exception e) when (!cancel.IsCancellationRequested)
        {
            logger.LogWarning(e, "A stream was ended early");
            return false;
        }
    }
}
