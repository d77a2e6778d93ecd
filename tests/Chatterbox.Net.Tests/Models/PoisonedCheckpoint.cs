using System.Buffers.Binary;
using System.Text.Json;
using Chatterbox.Models;

namespace Chatterbox.Tests.Models;

/// <summary>Tiny checkpoints with values that are not numbers in places where only some speech reaches them.</summary>
internal sealed class PoisonedCheckpoint : IDisposable
{
    public PoisonedCheckpoint() => SyntheticCheckpoint.Write("tiny", Folder);

    public string Folder { get; } = Directory.CreateTempSubdirectory("chatterbox-poisoned-").FullName;

    /// <summary>T3 fails at each text that has the letter z.</summary>
    public static PoisonedCheckpoint AtLetterZ()
    {
        var checkpoint = new PoisonedCheckpoint();
        using var tokenizer = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(checkpoint.Folder, "tokenizer.json")));
        var vocabulary = tokenizer.RootElement.GetProperty("model").GetProperty("vocab");
        foreach (var letter in (string[])["z", "Z"])
        {
            checkpoint.Poison("t3_cfg.safetensors", "text_emb.weight", vocabulary.GetProperty(letter).GetInt32());
        }

        return checkpoint;
    }

    /// <summary>T3 fails at each text.</summary>
    public static PoisonedCheckpoint Everywhere()
    {
        var checkpoint = new PoisonedCheckpoint();
        checkpoint.Poison("t3_cfg.safetensors", "speech_head.weight", row: 0);
        return checkpoint;
    }

    /// <summary>The flow fails at speech that has this token.</summary>
    public static PoisonedCheckpoint AtSpeechToken(int token)
    {
        var checkpoint = new PoisonedCheckpoint();
        checkpoint.Poison("s3gen.safetensors", "flow.input_embedding.weight", token);
        return checkpoint;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    /// <summary>Overwrites a row of a tensor with bytes that are not a number in any format.</summary>
    private void Poison(string file, string tensor, int row)
    {
        using var stream = File.Open(Path.Combine(Folder, file), FileMode.Open, FileAccess.ReadWrite);
        var size = new byte[sizeof(long)];
        stream.ReadExactly(size);
        var header = new byte[BinaryPrimitives.ReadInt64LittleEndian(size)];
        stream.ReadExactly(header);
        using var parsed = JsonDocument.Parse(header);
        var entry = parsed.RootElement.GetProperty(tensor);
        var (from, to) = (entry.GetProperty("data_offsets")[0].GetInt64(), entry.GetProperty("data_offsets")[1].GetInt64());
        var rowBytes = (int)((to - from) / entry.GetProperty("shape")[0].GetInt64());
        stream.Position = size.Length + header.Length + from + (row * (long)rowBytes);
        stream.Write([.. Enumerable.Repeat((byte)0xFF, rowBytes)]);
    }
}
