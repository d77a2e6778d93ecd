using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Xml.Linq;
using Chatterbox.Engine;
using Chatterbox.Models;

namespace Chatterbox.Service.Hosting;

/// <summary>A setting of the service.</summary>
/// <param name="Key">Its name, with the section: <c>Service:Port</c>.</param>
/// <param name="Default">Its value unless set.</param>
/// <param name="Range">Values that it takes.</param>
/// <param name="Describe">Finds what it does, in Markdown: read when it is needed, since the service starts without it.</param>
/// <param name="Member">Where it holds several values, each under a key that continues its own: an example of that key's end.</param>
internal sealed record Setting(string Key, string Default, string Range, Func<string> Describe, string? Member = null)
{
    /// <summary>Name of the environment variable that sets it, or one of its values.</summary>
    public string Environment => (Member is null ? Key : $"{Key}:{Member}").Replace(":", "__", StringComparison.Ordinal);
}

/// <summary>A group of settings.</summary>
/// <param name="Name">Name of its section; empty for settings without one.</param>
/// <param name="Describe">Finds what it is about, in Markdown.</param>
/// <param name="Settings">Its settings.</param>
internal sealed record SettingsSection(string Name, Func<string> Describe, IReadOnlyList<Setting> Settings);

/// <summary>Every setting of the service, read off the options classes and their documentation.</summary>
internal static class SettingsCatalog
{
    private static readonly Setting[] Unsectioned =
    [
        new(
            "Model",
            ModelLocator.Auto,
            "names or folders, separated by commas",
            () => "The models, by [name](models.md#names) or folder; the first is the default."
        ),
        new("Device", "", "`cpu`, `cuda`, `cuda:1`, …", () => "Where models run; empty takes the first GPU if there is one."),
        new(
            "AllowedHosts",
            "",
            "names, separated by `;`, or `*`",
            () => "Public names of the service; without API keys it answers to addresses and local names only."
        ),
    ];

    /// <summary>The sections, in the order in which they are documented.</summary>
    public static IReadOnlyList<SettingsSection> Sections { get; } = [new("", () => "", Unsectioned), .. OptionsTypes().Select(Read)];

    /// <summary>Every setting.</summary>
    public static IEnumerable<Setting> All => Sections.SelectMany(section => section.Settings);

    /// <summary>The options classes: those that name their section, and the engine's.</summary>
    private static IEnumerable<(string Section, Type Type)> OptionsTypes() =>
        typeof(SettingsCatalog)
            .Assembly.GetTypes()
            .Select(type => (Section: SectionOf(type), Type: type))
            .Where(found => found.Section is not null)
            .Select(found => (found.Section!, found.Type))
            .Append((Settings.EngineSection, typeof(EngineOptions)))
            .OrderBy(found => found.Item1 == ServiceOptions.Section ? "" : found.Item1, StringComparer.Ordinal);

    private static string? SectionOf(Type type) =>
        type.GetField("Section", BindingFlags.Public | BindingFlags.Static)?.GetRawConstantValue() as string;

    private static SettingsSection Read((string Section, Type Type) options)
    {
        var defaults = Activator.CreateInstance(options.Type)!;
        var settings = options.Type.GetProperties().Select(property => Read(options.Section, property, property.GetValue(defaults)));
        return new SettingsSection(options.Section, () => Documentation.Of(options.Type), [.. settings]);
    }

    private static Setting Read(string section, PropertyInfo property, object? value) =>
        new(
            $"{section}:{property.Name}",
            value switch
            {
                IDictionary table => string.Join(", ", table.Keys.Cast<string>().Select(key => $"{key} = {table[key]}")),
                IEnumerable<string> list => string.Join(", ", list),
                bool flag => flag ? "true" : "false",
                _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
            },
            property.GetCustomAttribute<RangeAttribute>() is { } range
                    ? string.Create(CultureInfo.InvariantCulture, $"{range.Minimum} to {range.Maximum}")
                : value is bool ? "true, false"
                : value is IDictionary ? "names"
                : value is IEnumerable and not string ? "a list"
                : property.PropertyType.IsEnum ? string.Join(", ", Enum.GetNames(property.PropertyType))
                : "text",
            () => Documentation.Of(property),
            value switch
            {
                string => null,
                IDictionary => "NAME",
                IEnumerable => "0",
                _ => null,
            }
        );

    /// <summary>The documentation that the compiler wrote next to the assemblies, as Markdown.</summary>
    private static class Documentation
    {
        private static readonly Dictionary<string, XElement> Members = new[] { typeof(SettingsCatalog), typeof(EngineOptions) }
            .Select(type => Path.Combine(AppContext.BaseDirectory, $"{type.Assembly.GetName().Name}.xml"))
            .SelectMany(file => XDocument.Load(file).Descendants("member"))
            .GroupBy(member => member.Attribute("name")!.Value)
            .ToDictionary(members => members.Key, members => members.First()); // generated code is documented in both

        public static string Of(Type type) => Text($"T:{type.FullName}");

        public static string Of(PropertyInfo property) => Text($"P:{property.DeclaringType!.FullName}.{property.Name}");

        private static string Text(string name)
        {
            if (!Members.TryGetValue(name, out var member))
            {
                return "";
            }

            var inherited = member.Element("inheritdoc")?.Attribute("cref")?.Value;
            var summary = inherited is null ? Markdown(member.Element("summary")) : Text(inherited);
            return $"{summary} {Markdown(member.Element("remarks"))}".Trim();
        }

        private static string Markdown(XElement? element) =>
            string.Join(
                ' ',
                string.Concat(
                        (element?.Nodes() ?? []).Select(node =>
                            node switch
                            {
                                XElement { Name.LocalName: "c" } code => $"`{code.Value}`",
                                XElement reference when reference.Attribute("cref") is { } cref =>
                                    $"`{cref.Value[(cref.Value.LastIndexOf('.') + 1)..]}`",
                                XElement other => other.Value,
                                _ => node.ToString(),
                            }
                        )
                    )
                    .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            );
    }
}
