using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using Chatterbox;

namespace ConvertWeights;

/// <summary>Writes a voice as the Python package saves it, <c>conds.pt</c>, which <c>torch.load(path, weights_only=True)</c>
/// reads.</summary>
/// <remarks>Ports the saving half of Conditionals, chatterbox tts.py: a dict <c>t3</c> and a dict <c>gen</c> of tensors and
/// Nones, in torch's zip archive (torch/serialization.py). Only what such a file needs of pickles is written here.</remarks>
internal static class CondsWriter
{
    /// <summary>Writes a voice; a file that is there is replaced.</summary>
    /// <param name="path">The file.</param>
    /// <param name="voice">The voice.</param>
    /// <param name="melBands">Mel bands of S3Gen.</param>
    /// <param name="exaggeration">How lively to speak, which the Python package keeps with the voice.</param>
    public static void Write(string path, Voice voice, int melBands, float exaggeration)
    {
        var pickle = new Pickle();
        var (t3, gen) = (voice.T3, voice.S3Gen);
        pickle.Dict(
            (
                "t3",
                () =>
                    pickle.Dict(
                        ("speaker_emb", () => pickle.Floats(t3.SpeakerEmbedding, 1, t3.SpeakerEmbedding.Count)),
                        ("clap_emb", pickle.None),
                        ("cond_prompt_speech_tokens", () => pickle.Integers(t3.SpeechTokens, 1, t3.SpeechTokens.Count)),
                        ("cond_prompt_speech_emb", pickle.None),
                        ("emotion_adv", () => pickle.Floats([exaggeration], 1, 1, 1))
                    )
            ),
            (
                "gen",
                () =>
                    pickle.Dict(
                        ("prompt_token", () => pickle.Integers(gen.SpeechTokens, 1, gen.SpeechTokens.Count)),
                        ("prompt_token_len", () => pickle.Integers([gen.SpeechTokens.Count], 1)),
                        ("prompt_feat", () => pickle.Floats(gen.Mel, 1, gen.Mel.Count / melBands, melBands)),
                        ("prompt_feat_len", pickle.None),
                        ("embedding", () => pickle.Floats(gen.XVector, 1, gen.XVector.Count))
                    )
            )
        );
        var unfinished = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            WriteArchive(unfinished, Path.GetFileNameWithoutExtension(path), pickle);
            File.Move(unfinished, path, overwrite: true);
        }
        finally
        {
            File.Delete(unfinished);
        }
    }

    private static void WriteArchive(string path, string folder, Pickle pickle)
    {
        using var archive = new ZipArchive(File.Create(path), ZipArchiveMode.Create);
        void Add(string name, byte[] data)
        {
            using var entry = archive.CreateEntry($"{folder}/{name}", CompressionLevel.NoCompression).Open();
            entry.Write(data);
        }

        Add("data.pkl", pickle.End());
        Add("byteorder", "little"u8.ToArray());
        foreach (var (key, data) in pickle.Storages.Index())
        {
            Add($"data/{key}", data);
        }

        Add("version", "3\n"u8.ToArray());
    }

    /// <summary>A pickle of protocol 2, and the elements of the tensors in it.</summary>
    private sealed class Pickle
    {
        private readonly MemoryStream _out = new();

        public Pickle() => Raw(0x80, 2);

        public List<byte[]> Storages { get; } = [];

        public byte[] End()
        {
            Raw((byte)'.');
            return _out.ToArray();
        }

        public void None() => Raw((byte)'N');

        public void Dict(params (string Key, Action Value)[] items)
        {
            Raw((byte)'}', (byte)'(');
            foreach (var (key, value) in items)
            {
                Text(key);
                value();
            }

            Raw((byte)'u');
        }

        public void Floats(IReadOnlyList<float> values, params ReadOnlySpan<int> shape) =>
            Tensor("FloatStorage", MemoryMarshal.AsBytes<float>(values.ToArray()), values.Count, shape);

        public void Integers(IReadOnlyList<int> values, params ReadOnlySpan<int> shape) =>
            Tensor("LongStorage", MemoryMarshal.AsBytes<long>(values.Select(value => (long)value).ToArray()), values.Count, shape);

        /// <summary>_rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, no hooks).</summary>
        private void Tensor(string storage, ReadOnlySpan<byte> elements, int count, ReadOnlySpan<int> shape)
        {
            Global("torch._utils", "_rebuild_tensor_v2");
            Raw((byte)'(', (byte)'(');
            Text("storage");
            Global("torch", storage);
            Text($"{Storages.Count}");
            Text("cpu");
            Integer(count);
            Raw((byte)'t', (byte)'Q');
            Integer(0);
            Tuple(shape);
            Tuple(Strides(shape));
            Raw(0x89);
            Global("collections", "OrderedDict");
            Raw((byte)')', (byte)'R', (byte)'t', (byte)'R');
            Storages.Add(elements.ToArray());
        }

        private void Tuple(ReadOnlySpan<int> items)
        {
            Raw((byte)'(');
            foreach (var item in items)
            {
                Integer(item);
            }

            Raw((byte)'t');
        }

        private void Integer(int value)
        {
            Span<byte> bytes = stackalloc byte[5];
            bytes[0] = (byte)'J';
            BinaryPrimitives.WriteInt32LittleEndian(bytes[1..], value);
            Raw(bytes);
        }

        private void Text(string text)
        {
            var utf8 = Encoding.UTF8.GetBytes(text);
            Span<byte> head = stackalloc byte[5];
            head[0] = (byte)'X';
            BinaryPrimitives.WriteInt32LittleEndian(head[1..], utf8.Length);
            Raw(head);
            Raw(utf8);
        }

        private void Global(string module, string name) => Raw(Encoding.ASCII.GetBytes($"c{module}\n{name}\n"));

        private void Raw(params ReadOnlySpan<byte> bytes) => _out.Write(bytes);

        private static int[] Strides(ReadOnlySpan<int> shape)
        {
            var strides = new int[shape.Length];
            for (int i = shape.Length - 1, stride = 1; i >= 0; stride *= shape[i--])
            {
                strides[i] = stride;
            }

            return strides;
        }
    }
}
