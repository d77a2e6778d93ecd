namespace Chatterbox.Voices;

/// <summary>
/// The voice that is published with a model, <c>conds.pt</c>: a torch archive of a dict <c>t3</c> (what T3 is conditioned
/// on) and a dict <c>gen</c> (the reference speech that S3Gen continues).
/// </summary>
/// <remarks>
/// Ports the loading half of Conditionals, chatterbox tts.py and tts_turbo.py. Left out: <c>emotion_adv</c>, which belongs
/// to the request; <c>clap_emb</c>, which no model uses; <c>cond_prompt_speech_emb</c>, which T3 computes from the tokens.
/// </remarks>
public static class CondsFile
{
    private const int SpeechTokens = 6561; // 3⁸, the codes of the S3 tokenizer

    /// <summary>Reads a voice.</summary>
    /// <param name="path">The file, as the Python package saves it.</param>
    /// <param name="speakerSize">Length of the voice encoder's embedding.</param>
    /// <param name="melBands">Mel bands of S3Gen.</param>
    /// <param name="xVectorSize">Length of CAM++'s embedding.</param>
    /// <exception cref="CheckpointException">The file is missing, damaged, or no voice of such a model.</exception>
    public static Voice Read(string path, int speakerSize = 256, int melBands = 80, int xVectorSize = 192)
    {
        using var file = TorchFile.Open(path);
        var promptTokens = Tokens(file, "gen.prompt_token");
        var length = Integers(file, "gen.prompt_token_len", [1])[0];
        if (length < 1 || length > promptTokens.Length)
        {
            throw Unfit(file, "gen.prompt_token_len", $"is {length}, but there are {promptTokens.Length} prompt tokens");
        }

        var mel = Floats(file, "gen.prompt_feat", [1, -1, melBands]);
        if (mel.Length / melBands < 2 * length)
        {
            throw Unfit(file, "gen.prompt_feat", $"has {mel.Length / melBands} frames for {length} prompt tokens, expected two a token");
        }

        return new Voice(
            new T3Prompt(Floats(file, "t3.speaker_emb", [1, speakerSize]), Tokens(file, "t3.cond_prompt_speech_tokens")),
            new S3GenPrompt(promptTokens[..(int)length], mel, Floats(file, "gen.embedding", [1, xVectorSize]))
        );
    }

    private static int[] Tokens(TorchFile file, string name)
    {
        var tokens = Integers(file, name, [1, -1]);
        var wrong = Array.FindIndex(tokens, token => token is < 0 or >= SpeechTokens);
        return wrong < 0
            ? Array.ConvertAll(tokens, token => (int)token)
            : throw Unfit(file, name, $"has {tokens[wrong]} at {wrong}, expected speech tokens from 0 to {SpeechTokens - 1}");
    }

    private static long[] Integers(TorchFile file, string name, long[] shape)
    {
        using var tensor = Read(file, name, shape, "integers", type => type is ScalarType.Int64 or ScalarType.Int32);
        using var wide = tensor.to(ScalarType.Int64);
        return wide.data<long>().ToArray();
    }

    private static float[] Floats(TorchFile file, string name, long[] shape)
    {
        using var tensor = Read(
            file,
            name,
            shape,
            "floating-point numbers",
            type => type is ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float64
        );
        using var single = tensor.to(ScalarType.Float32);
        var values = single.data<float>().ToArray();
        return Array.TrueForAll(values, float.IsFinite) ? values : throw Unfit(file, name, "has values that are infinite or no numbers");
    }

    private static Tensor Read(TorchFile file, string name, long[] shape, string kind, Func<ScalarType, bool> fits)
    {
        if (!file.Tensors.TryGetValue(name, out var info))
        {
            throw Unfit(file, name, "is missing or None");
        }

        if (!fits(info.DType))
        {
            throw Unfit(file, name, $"has element type {info.DType}, expected {kind}");
        }

        var fitsShape =
            info.Shape.Length == shape.Length && info.Shape.Zip(shape).All(d => d.First == d.Second || d is { First: > 0, Second: < 0 });
        return fitsShape
            ? file.Read(name)
            : throw Unfit(
                file,
                name,
                $"has shape [{string.Join(", ", info.Shape)}], expected [{string.Join(", ", shape.Select(d => d < 0 ? "any" : $"{d}"))}]"
            );
    }

    private static CheckpointException Unfit(TorchFile file, string name, string what) =>
        new($"{file.Path} is no voice of this model: '{name}' {what}. Use the conds.pt that was published or saved with this model.");
}
