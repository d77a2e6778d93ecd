using System.CommandLine;
using System.Globalization;
using Chatterbox;
using Chatterbox.Audio;
using Chatterbox.Models;
using Chatterbox.Ops;
using Chatterbox.Voices;
using Chatterbox.Weights;
using Microsoft.Extensions.Logging.Abstractions;
using Spectre.Console;
using static TorchSharp.torch;

namespace ConvertWeights;

/// <summary><c>voice</c>: creates, shows and converts voices.</summary>
internal static class VoiceCommand
{
    private const float DefaultExaggeration = 0.5f;

    private static readonly Option<FileInfo> Out = new("--out")
    {
        Description = "File to write: a voice (.safetensors), or conds.pt for the Python package.",
        Required = true,
    };
    private static readonly Option<string?> Name = new("--name") { Description = "Name of the voice. Default: the name of the file." };
    private static readonly Option<string?> Language = new("--language")
    {
        Description = "Language that is spoken in the recording, such as en.",
    };
    private static readonly Option<string?> Consent = new("--consent")
    {
        Description = "Who allowed this voice to be used, when, and for what.",
    };

    private static readonly Option<string> Model = new("--model")
    {
        Description =
            $"The model that the voice is for: {string.Join(", ", ModelLocator.Names)}, or a folder with a checkpoint. Turbo and Nano "
            + $"use longer prompts than the others.",
        DefaultValueFactory = _ => ModelLocator.Auto,
    };

    public static Command Create() =>
        new(
            "voice",
            "Creates voices from recordings, shows and converts them. A voice file can be used in place of its recording, and loads faster."
        )
        {
            CreateMake(),
            CreateInspect(),
            CreateConvert(),
        };

    private static CommandWithExamples CreateMake()
    {
        var recording = new Argument<FileInfo>("recording")
        {
            Description = "Some seconds of one speaker: WAV, FLAC, MP3, Opus, AIFF, or a format that ffmpeg reads.",
        };
        var command = new CommandWithExamples("make", "Creates a voice from a recording.")
        {
            Examples =
            [
                (
                    "A voice, with its owner's consent",
                    "voice make anna.wav --out anna.safetensors --language de --consent \"Anna B., by letter of 2026-01-02, for the "
                        + "help desk\""
                ),
            ],
        };
        command.Add(recording);
        command.Add(Out);
        command.Add(Model);
        command.Add(Name);
        command.Add(Language);
        command.Add(Consent);
        command.SetAction((parsed, cancellationToken) => MakeAsync(parsed, parsed.GetRequiredValue(recording).FullName, cancellationToken));
        return command;
    }

    private static CommandWithExamples CreateInspect()
    {
        var file = new Argument<FileInfo>("voice") { Description = "A voice file, or a conds.pt." };
        var command = new CommandWithExamples("inspect", "Shows the origin and the contents of a voice file.")
        {
            Examples = [("Whose voice is it?", "voice inspect anna.safetensors")],
        };
        command.Add(file);
        command.SetAction(parsed =>
        {
            var path = parsed.GetRequiredValue(file).FullName;
            var (voice, info) = VoiceFiles.Read(path, ChatterboxConfig.English);
            Answer(new Shell(parsed), path, voice, info);
            return ExitCodes.Done;
        });
        return command;
    }

    private static CommandWithExamples CreateConvert()
    {
        var file = new Argument<FileInfo>("voice") { Description = "A voice file, or a conds.pt." };
        var exaggeration = new Option<float>("--exaggeration")
        {
            Description = "How lively the speech is, which conds.pt stores with the voice and a voice file does not.",
            DefaultValueFactory = _ => DefaultExaggeration,
        };
        var command = new CommandWithExamples(
            "convert",
            "Converts a conds.pt of the Python package into a voice file, or a voice file into a conds.pt."
        )
        {
            Examples =
            [
                ("From Python", "voice convert conds.pt --out anna.safetensors --name Anna"),
                ("To Python", "voice convert anna.safetensors --out conds.pt"),
            ],
        };
        command.Add(file);
        command.Add(Out);
        command.Add(Name);
        command.Add(Language);
        command.Add(Consent);
        command.Add(exaggeration);
        command.SetAction(parsed => Convert(parsed, parsed.GetRequiredValue(file).FullName, parsed.GetValue(exaggeration)));
        return command;
    }

    private static async Task<int> MakeAsync(ParseResult parsed, string recording, CancellationToken cancellationToken)
    {
        var shell = new Shell(parsed);
        var path = parsed.GetRequiredValue(Out).FullName;
        var (voice, model) = await shell.ProgressAsync(
            "voice",
            progress => HearAsync(parsed.GetRequiredValue(Model), recording, progress, cancellationToken)
        );
        var info = WithOptions(parsed, new VoiceInfo(Path.GetFileNameWithoutExtension(recording))) with
        {
            Model = model,
            SourceHash = await ContentHash.Sha256Async(recording, cancellationToken),
            Created = DateTimeOffset.UtcNow,
        };
        Answer(shell, path, voice, Save(path, voice, info, DefaultExaggeration));
        return ExitCodes.Done;
    }

    private static int Convert(ParseResult parsed, string from, float exaggeration)
    {
        var path = parsed.GetRequiredValue(Out).FullName;
        var (voice, info) = VoiceFiles.Read(from, ChatterboxConfig.English);
        info = WithOptions(parsed, VoiceFiles.IsConds(from) ? info with { SourceHash = ContentHash.Sha256(from) } : info);
        Answer(new Shell(parsed), path, voice, Save(path, voice, info, exaggeration));
        return ExitCodes.Done;
    }

    /// <summary>Makes the voice with the networks that hear: of the checkpoint, T3 and the vocoder are not loaded.</summary>
    private static async Task<(Voice Voice, string Model)> HearAsync(
        string model,
        string recording,
        IProgress<double> progress,
        CancellationToken cancellationToken
    )
    {
        var clip = AudioFile.Load(recording, cancellationToken);
        using var hub = new ModelHub(ModelHubOptions.FromEnvironment());
        var located = await new ModelLocator(hub, ModelLocator.DefaultCacheFolder, NullLogger<ModelLocator>.Instance).LocateAsync(
            model,
            progress,
            cancellationToken
        );
        if (located.IsStandIn)
        {
            throw new UnavailableException(
                "The published model is not in the cache and cannot be downloaded, and a voice of the tiny synthetic model would be "
                    + "useless. Download the model first: convert-weights download english; or name a folder with --model."
            );
        }

        var checkpoint = CheckpointFolder.Open([located.Folder]);
        var config = checkpoint.Variant.Config;
        using var speaker = Open(checkpoint, Part.SpeakerEncoder);
        using var s3gen = Open(checkpoint, Part.S3Gen);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        s3gen.Root.Skip("flow.*", "mel2wav.*");
        var encoder = new SpeakerEncoder(config.Voices.SpeakerEncoder, speaker.Root);
        var builder = new VoiceBuilder(config.Voices, encoder, new ReferenceEncoder(config.Voices.Reference, s3gen.Root, TorchOps.Plain));
        speaker.ThrowIfFaulty();
        s3gen.ThrowIfFaulty();
        return (builder.Build(clip), config.Name);
    }

    private static WeightStore Open(CheckpointFolder checkpoint, Part part) =>
        new(
            TensorFile.Open(
                checkpoint.PathOf(part)
                    ?? throw new CheckpointException(
                        $"{checkpoint.Folders[0]} lacks {string.Join(" or ", checkpoint.Variant.Names[part])}. Check the folder: "
                            + $"convert-weights verify {checkpoint.Folders[0]}"
                    )
            )
        );

    private static VoiceInfo WithOptions(ParseResult parsed, VoiceInfo info) =>
        info with
        {
            Name = parsed.GetValue(Name) ?? info.Name,
            Language = parsed.GetValue(Language) ?? info.Language,
            Consent = parsed.GetValue(Consent) ?? info.Consent,
        };

    /// <returns>What the file says of the voice: a conds.pt has room for the sound alone.</returns>
    private static VoiceInfo Save(string path, Voice voice, VoiceInfo info, float exaggeration)
    {
        if (VoiceFiles.IsConds(path))
        {
            CondsWriter.Write(path, voice, ChatterboxConfig.English.S3Gen.MelBands, exaggeration);
            return new VoiceInfo(Path.GetFileNameWithoutExtension(path));
        }

        VoiceFile.Save(path, voice, info);
        return info;
    }

    private static void Answer(Shell shell, string path, Voice voice, VoiceInfo info)
    {
        const double TokensPerSecond = 25;
        var (t3Seconds, s3genSeconds) = (voice.T3.SpeechTokens.Count / TokensPerSecond, voice.S3Gen.SpeechTokens.Count / TokensPerSecond);
        var bytes = new FileInfo(path).Length;
        shell.Answer(
            new
            {
                File = path,
                Bytes = bytes,
                info.Name,
                info.Language,
                info.Model,
                SourceSha256 = info.SourceHash,
                info.Consent,
                info.Created,
                T3Seconds = t3Seconds,
                S3GenSeconds = s3genSeconds,
            },
            console =>
            {
                console.WriteLine($"{path}: {bytes / 1e3:0} kB");
                foreach (
                    var (what, value) in new (string What, string? Value)[]
                    {
                        ("name", info.Name),
                        ("language", info.Language),
                        ("made for", info.Model),
                        ("made of", info.SourceHash is null ? null : $"SHA-256 {info.SourceHash}"),
                        ("consent", info.Consent),
                        ("created", info.Created?.ToString("u", CultureInfo.InvariantCulture)),
                        (
                            "holds",
                            string.Create(
                                CultureInfo.InvariantCulture,
                                $"{t3Seconds:0.0} s of speech for T3, {s3genSeconds:0.0} s for S3Gen"
                            )
                        ),
                    }
                )
                {
                    if (value is not null)
                    {
                        console.WriteLine($"  {what, -9} {value}");
                    }
                }
            }
        );
    }
}
