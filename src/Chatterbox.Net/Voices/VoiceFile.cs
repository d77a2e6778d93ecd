using System.Globalization;

namespace Chatterbox.Voices;

/// <summary>Where a voice is from.</summary>
/// <param name="Name">What the voice is called.</param>
public sealed record VoiceInfo(string Name)
{
    /// <summary>Language spoken in the recording, as a two-letter code; null if unknown.</summary>
    public string? Language { get; init; }

    /// <summary>The model that the voice was computed for, such as <c>english</c> or <c>turbo</c>: they use different lengths of the
    /// recording.</summary>
    public string? Model { get; init; }

    /// <summary>SHA-256 of the recording, in hexadecimal, which shows whether a voice is up to date.</summary>
    public string? SourceHash { get; init; }

    /// <summary>Who allowed the voice to be used, and for what.</summary>
    public string? Consent { get; init; }

    /// <summary>When the voice was computed.</summary>
    public DateTimeOffset? Created { get; init; }
}

/// <summary>A voice on disk: a safetensors file of some hundred kilobytes, what is known of it in the header.</summary>
public static class VoiceFile
{
    private const string Format = "chatterbox-voice";
    private const int Version = 1;
    private const long MaxBytes = 1 << 20;
    private const int MaxTextLength = 4000;
    private const int SpeechVocabulary = 6561;

    /// <summary>Writes a voice; an existing file is replaced.</summary>
    /// <exception cref="VoiceException">The voice is not sound, or the file cannot be written.</exception>
    public static void Save(string path, Voice voice, VoiceInfo info)
    {
        var metadata = Describe(info);
        if (FaultOf(voice) is { } fault)
        {
            throw new VoiceException($"The voice '{info.Name}' cannot be saved: {fault}. Make it again from its recording.");
        }

        using var scope = NewDisposeScope();
        try
        {
            SafetensorsWriter.Write(
                path,
                [
                    TensorToWrite.From(Keys.SpeakerEmbedding, tensor(voice.T3.SpeakerEmbedding.ToArray())),
                    TensorToWrite.From(Keys.T3Tokens, tensor(voice.T3.SpeechTokens.ToArray())),
                    TensorToWrite.From(Keys.S3GenTokens, tensor(voice.S3Gen.SpeechTokens.ToArray())),
                    TensorToWrite.From(Keys.Mel, tensor(voice.S3Gen.Mel.ToArray())),
                    TensorToWrite.From(Keys.XVector, tensor(voice.S3Gen.XVector.ToArray())),
                ],
                metadata
            );
        }
        catch (CheckpointException e)
        {
            throw new VoiceException($"The voice '{info.Name}' cannot be saved: {e.Message}", e);
        }
    }

    /// <summary>Reads a voice and checks it.</summary>
    /// <exception cref="VoiceException">The file is missing, damaged, of a later version, or not a voice.</exception>
    public static (Voice Voice, VoiceInfo Info) Load(string path)
    {
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > MaxBytes } large)
            {
                throw NotAVoice(path, $"it has {large.Length} bytes, a voice {MaxBytes} at most");
            }

            using var file = SafetensorsFile.Open(path);
            CheckFormat(file);
            var voice = new Voice(
                new(Floats(file, Keys.SpeakerEmbedding), Tokens(file, Keys.T3Tokens)),
                new(Tokens(file, Keys.S3GenTokens), Floats(file, Keys.Mel), Floats(file, Keys.XVector))
            );
            return FaultOf(voice) is { } fault ? throw NotAVoice(path, fault) : (voice, InfoOf(file));
        }
        catch (CheckpointException e)
        {
            throw new VoiceException($"The voice cannot be loaded: {e.Message}", e);
        }
    }

    private static void CheckFormat(SafetensorsFile file)
    {
        if (file.Metadata.GetValueOrDefault("format") != Format)
        {
            throw NotAVoice(file.Path, "it holds tensors of something else");
        }

        var version = file.Metadata.GetValueOrDefault("version");
        if (!int.TryParse(version, NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number is < 1 or > Version)
        {
            throw new VoiceException(
                $"{file.Path} is a voice file of version '{version}'; this program reads version {Version}. Update the program, or make "
                    + $"the voice again from its recording."
            );
        }
    }

    private static VoiceInfo InfoOf(SafetensorsFile file)
    {
        string? Text(string key) => file.Metadata.GetValueOrDefault(key);

        var created = DateTimeOffset.TryParse(Text("created"), CultureInfo.InvariantCulture, DateTimeStyles.RoundtripKind, out var time)
            ? time
            : (DateTimeOffset?)null;
        return new VoiceInfo(Text("name") ?? Path.GetFileNameWithoutExtension(file.Path))
        {
            Language = Text("language"),
            Model = Text("model"),
            SourceHash = Text("source_sha256"),
            Consent = Text("consent"),
            Created = created,
        };
    }

    private static Dictionary<string, string> Describe(VoiceInfo info)
    {
        var texts = new (string Key, string? Text)[]
        {
            ("name", info.Name),
            ("language", info.Language),
            ("model", info.Model),
            ("source_sha256", info.SourceHash),
            ("consent", info.Consent),
            ("created", info.Created?.ToString("O", CultureInfo.InvariantCulture)),
        };
        foreach (var (key, text) in texts.Where(t => t.Text?.Length > MaxTextLength))
        {
            throw new VoiceException($"The voice's {key} has {text!.Length} characters, {MaxTextLength} at most are kept. Shorten it.");
        }

        var metadata = texts.Where(t => t.Text is not null).ToDictionary(t => t.Key, t => t.Text!);
        metadata["format"] = Format;
        metadata["version"] = Version.ToString(CultureInfo.InvariantCulture);
        return metadata;
    }

    /// <summary>What keeps a voice from being used with any model, or null. Sizes are the models' to check.</summary>
    private static string? FaultOf(Voice voice)
    {
        static string? Numbers(string what, IReadOnlyList<float> values) =>
            values.Count == 0 ? $"its {what} is empty"
            : values.All(float.IsFinite) ? null
            : $"its {what} holds numbers that are not finite";

        static string? Tokens(string what, IReadOnlyList<int> tokens) =>
            tokens.Count == 0 ? $"its {what} are empty"
            : tokens.All(t => t is >= 0 and < SpeechVocabulary) ? null
            : $"its {what} are not all between 0 and {SpeechVocabulary - 1}";

        return Numbers("speaker embedding", voice.T3.SpeakerEmbedding)
            ?? Tokens("speech tokens for T3", voice.T3.SpeechTokens)
            ?? Tokens("speech tokens for S3Gen", voice.S3Gen.SpeechTokens)
            ?? Numbers("mel spectrogram", voice.S3Gen.Mel)
            ?? Numbers("x-vector", voice.S3Gen.XVector);
    }

    private static float[] Floats(SafetensorsFile file, string key)
    {
        using var values = Read(file, key, ScalarType.Float32);
        return values.data<float>().ToArray();
    }

    private static int[] Tokens(SafetensorsFile file, string key)
    {
        using var values = Read(file, key, ScalarType.Int32);
        return values.data<int>().ToArray();
    }

    private static Tensor Read(SafetensorsFile file, string key, ScalarType dtype)
    {
        if (!file.Tensors.TryGetValue(key, out var info))
        {
            throw NotAVoice(file.Path, $"it has no '{key}'");
        }

        return info.DType == dtype && info.Shape.Length == 1
            ? file.Read(key)
            : throw NotAVoice(file.Path, $"'{key}' is {info.DType} of shape [{string.Join(", ", info.Shape)}], expected a row of {dtype}");
    }

    private static VoiceException NotAVoice(string path, string why) =>
        new($"{path} is not a sound voice file: {why}. Make the voice again from its recording.");

    private static class Keys
    {
        public const string SpeakerEmbedding = "t3.speaker_embedding";
        public const string T3Tokens = "t3.speech_tokens";
        public const string S3GenTokens = "s3gen.speech_tokens";
        public const string Mel = "s3gen.mel";
        public const string XVector = "s3gen.x_vector";
    }
}
