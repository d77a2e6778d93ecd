using System.CommandLine;
using Chatterbox.Engine;
using Chatterbox.Text;

namespace Chatterbox.Service.Commands;

/// <summary><c>say TEXT</c>: speaks into a file, or a list of lines into numbered files, without a server.</summary>
internal static class SayCommand
{
    private static readonly Argument<string?> Text = new("text")
    {
        Description = "What to say; without it, or with -, standard input is read.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<FileInfo?> TextFile = new("--file") { Description = "A file with the text." };
    private static readonly Option<FileInfo?> Lines = new("--lines")
    {
        Description = "A file whose lines are spoken into numbered files: speech-1.wav, speech-2.wav, … Empty lines are skipped.",
    };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("say", "Speaks a text and writes a file.")
        {
            Text,
            TextFile,
            Lines,
            ModelCommand.VoiceName,
            VoicesCommand.Folder,
            Output.To,
            Output.Format,
        };
        SpeechSettings.Complete(command);
        command.Validators.Add(result =>
        {
            bool[] given =
            [
                result.GetResult(Text) is not null,
                result.GetResult(TextFile) is not null,
                result.GetResult(Lines) is not null,
            ];
            if (given.Count(one => one) > 1)
            {
                result.AddError("Give one of a text, --file and --lines.");
            }
        });
        ModelCommand.Complete(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var output = Output.Of(parsed, "speech.wav");
        var texts = await ReadTextsAsync(parsed, cancellationToken);
        var plans = texts.Select(text => TextPlan.Of(text, "text")).ToList();
        var seed = parsed.GetValue(SpeechSettings.Seed) ?? Random.Shared.NextInt64();
        var unknown = new List<string>();
        await ModelCommand.WithModelAsync(
            parsed,
            "speech",
            (model, progress) =>
            {
                var voice = ModelCommand.VoiceOf(model, parsed);
                foreach (var (i, plan) in plans.Index())
                {
                    var samples = Speak(parsed, plan, model, voice, seed, progress.Part(i, plans.Count), unknown, cancellationToken);
                    (parsed.GetValue(Lines) is null ? output : output.Numbered(i + 1, plans.Count)).Write(samples, seed, cancellationToken);
                }
            },
            cancellationToken
        );
        if (unknown.Count > 0)
        {
            await Console.Error.WriteLineAsync($"The model does not know these characters: {string.Join(' ', unknown.Distinct())}");
        }
    }

    private static float[] Speak(
        ParseResult parsed,
        TextPlan plan,
        ChatterboxModel model,
        Voice voice,
        long seed,
        ModelCommand.Share progress,
        List<string> unknown,
        CancellationToken cancellationToken
    )
    {
        var sampling = SpeechSettings.Sampling(parsed);
        List<float> samples = [.. JoinedSpeech.Silence(plan.PausesSeconds[0])];
        foreach (var (i, piece) in plan.Pieces.Index())
        {
            var seeded = sampling with { Seed = unchecked(seed + i) };
            var speech = model.Synthesize(
                piece,
                voice,
                seeded,
                parsed.GetValue(SpeechSettings.Language),
                progress.Part(i, plan.Pieces.Count),
                cancellationToken
            );
            samples.AddRange(speech.Samples.Span);
            samples.AddRange(JoinedSpeech.Silence(plan.PausesSeconds[i + 1]));
            unknown.AddRange(speech.UnknownCharacters);
        }

        return [.. samples];
    }

    private static async Task<IReadOnlyList<string>> ReadTextsAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        if (parsed.GetValue(Lines) is { } list)
        {
            var lines = (await File.ReadAllLinesAsync(list.FullName, cancellationToken))
                .Where(line => !string.IsNullOrWhiteSpace(line))
                .ToList();
            return lines.Count > 0 ? lines : throw new RequestException($"{list.FullName} has no lines to speak.", "lines");
        }

        return parsed.GetValue(TextFile) is { } file ? [await File.ReadAllTextAsync(file.FullName, cancellationToken)]
            : parsed.GetValue(Text) is { } text and not Output.Standard ? [text]
            : parsed.GetValue(Text) is null && !Console.IsInputRedirected
                ? throw new RequestException("There is no text. Give one, --file FILE or --lines FILE, or pipe one in.", "text")
            : [await Console.In.ReadToEndAsync(cancellationToken)];
    }
}
