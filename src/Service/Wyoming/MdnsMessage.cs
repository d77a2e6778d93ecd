using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Chatterbox.Service.Wyoming;

/// <summary>A service that others in the network find by its kind.</summary>
/// <param name="Type">Its kind: <c>_wyoming._tcp.local</c>.</param>
/// <param name="Name">Its name among its kind.</param>
/// <param name="Host">Name of this machine.</param>
/// <param name="Port">Its port.</param>
internal sealed record MdnsService(string Type, string Name, string Host, ushort Port);

/// <summary>A question of a message.</summary>
/// <param name="Name">Labels of the name.</param>
/// <param name="Type">Type of the records that are looked for.</param>
/// <param name="WantsUnicast">Whether the answer is for the asker alone.</param>
internal sealed record MdnsQuestion(IReadOnlyList<string> Name, ushort Type, bool WantsUnicast);

/// <summary>Messages of multicast DNS (RFC 6762) about one service (RFC 6763): reads questions, writes answers.</summary>
internal static class MdnsMessage
{
    /// <summary>Seconds for which others may keep what they are told.</summary>
    public const uint Lifetime = 120;

    private const ushort TypeA = 1,
        TypePtr = 12,
        TypeTxt = 16,
        TypeAaaa = 28,
        TypeSrv = 33,
        TypeAny = 255;
    private const ushort ClassIn = 1,
        ClassFlush = 0x8001,
        UnicastBit = 0x8000;
    private const int HeaderBytes = 12,
        MostQuestions = 64,
        MostLabels = 32,
        MostLabelBytes = 63;

    private static readonly string[] AllTypes = ["_services", "_dns-sd", "_udp", "local"];

    /// <summary>The questions of a message; none where it is an answer, or damaged.</summary>
    public static IReadOnlyList<MdnsQuestion> Questions(ReadOnlySpan<byte> message)
    {
        if (message.Length < HeaderBytes || (message[2] & 0xF8) != 0)
        {
            return [];
        }

        var questions = new List<MdnsQuestion>();
        var at = HeaderBytes;
        for (var left = Math.Min((int)BinaryPrimitives.ReadUInt16BigEndian(message[4..]), MostQuestions); left > 0; left--)
        {
            if (Name(message, ref at) is not { } name || at + 4 > message.Length)
            {
                break;
            }

            var type = BinaryPrimitives.ReadUInt16BigEndian(message[at..]);
            questions.Add(new(name, type, (BinaryPrimitives.ReadUInt16BigEndian(message[(at + 2)..]) & UnicastBit) != 0));
            at += 4;
        }

        return questions;
    }

    /// <summary>Whether a service is what a question asks for.</summary>
    public static bool Answers(this MdnsService service, MdnsQuestion question)
    {
        bool Asks(IEnumerable<string> name, params ReadOnlySpan<ushort> types) =>
            (question.Type == TypeAny || types.Contains(question.Type))
            && question.Name.SequenceEqual(name, StringComparer.OrdinalIgnoreCase);
        return Asks(service.Type.Split('.'), TypePtr)
            || Asks(AllTypes, TypePtr)
            || Asks(Instance(service), TypeSrv, TypeTxt)
            || Asks(Host(service), TypeA, TypeAaaa);
    }

    /// <summary>A message that tells everything about a service.</summary>
    /// <param name="service">The service.</param>
    /// <param name="addresses">Addresses of this machine where it is told.</param>
    /// <param name="lifetime">Seconds for which it may be kept; 0 says goodbye.</param>
    public static byte[] Tell(MdnsService service, IReadOnlyList<IPAddress> addresses, uint lifetime = Lifetime)
    {
        var records = new List<byte[]>
        {
            Record(service.Type.Split('.'), TypePtr, ClassIn, lifetime, EncodeName(Instance(service))),
            Record(AllTypes, TypePtr, ClassIn, lifetime, EncodeName(service.Type.Split('.'))),
            Record(
                Instance(service),
                TypeSrv,
                ClassFlush,
                lifetime,
                [0, 0, 0, 0, (byte)(service.Port >> 8), (byte)service.Port, .. EncodeName(Host(service))]
            ),
            Record(Instance(service), TypeTxt, ClassFlush, lifetime, [0]),
        };
        records.AddRange(
            addresses.Select(address =>
                Record(
                    Host(service),
                    address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? TypeAaaa : TypeA,
                    ClassFlush,
                    lifetime,
                    address.GetAddressBytes()
                )
            )
        );
        byte[] header = [0, 0, 0x84, 0, 0, 0, 0, (byte)records.Count, 0, 0, 0, 0]; // an answer, of who knows
        return [.. header, .. records.SelectMany(record => record)];
    }

    /// <summary>The question who offers a service of a kind.</summary>
    public static byte[] Ask(string type) =>
        [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, .. EncodeName(type.Split('.')), 0, (byte)TypePtr, 0, (byte)ClassIn];

    private static string[] Instance(MdnsService service) => [Cut(service.Name), .. service.Type.Split('.')];

    private static string[] Host(MdnsService service) => [Cut(service.Host.Split('.')[0]), "local"];

    /// <summary>As much of a name as a label holds.</summary>
    private static string Cut(string label)
    {
        var length = label.Length;
        while (Encoding.UTF8.GetByteCount(label.AsSpan(0, length)) > MostLabelBytes)
        {
            length--;
        }

        return label[..length];
    }

    private static byte[] Record(IReadOnlyList<string> name, ushort type, ushort kind, uint lifetime, byte[] data)
    {
        var fields = new byte[10];
        BinaryPrimitives.WriteUInt16BigEndian(fields, type);
        BinaryPrimitives.WriteUInt16BigEndian(fields.AsSpan(2), kind);
        BinaryPrimitives.WriteUInt32BigEndian(fields.AsSpan(4), lifetime);
        BinaryPrimitives.WriteUInt16BigEndian(fields.AsSpan(8), (ushort)data.Length);
        return [.. EncodeName(name), .. fields, .. data];
    }

    private static byte[] EncodeName(IEnumerable<string> labels) =>
        [.. labels.SelectMany(label => Encoding.UTF8.GetBytes(label) is var bytes ? (byte[])[(byte)bytes.Length, .. bytes] : []), 0];

    /// <summary>Reads a name, and moves behind it; null where it is damaged.</summary>
    private static List<string>? Name(ReadOnlySpan<byte> message, ref int at)
    {
        var labels = new List<string>();
        var (from, end) = (at, -1);
        while (labels.Count <= MostLabels && from < message.Length)
        {
            var length = message[from];
            if (length == 0)
            {
                at = end < 0 ? from + 1 : end;
                return labels;
            }

            if (length >= 0xC0) // the rest is where it was written before
            {
                if (from + 1 >= message.Length)
                {
                    return null;
                }

                end = end < 0 ? from + 2 : end;
                var target = ((length & 0x3F) << 8) | message[from + 1];
                if (target >= from)
                {
                    return null; // it can only lead back
                }

                from = target;
                continue;
            }

            if (length > MostLabelBytes || from + 1 + length > message.Length)
            {
                return null;
            }

            labels.Add(Encoding.UTF8.GetString(message.Slice(from + 1, length)));
            from += 1 + length;
        }

        return null;
    }
}
