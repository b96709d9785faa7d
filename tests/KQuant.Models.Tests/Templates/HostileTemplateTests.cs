using System.Text.Json.Nodes;
using KQuant.Models.Templates;

namespace KQuant.Models.Tests.Templates;

/// <summary>Templates that were made to run for ever or to fill the memory end at their budget, whatever operation they abuse.</summary>
public class HostileTemplateTests
{
    private const string Loop = "{% for i in range(100000) %}{% for j in range(100000) %}";
    private const string End = "{% endfor %}{% endfor %}";
    private const string Big = "{% set s = 'abcdefghijklmnop' * 200000 %}";
    private const string Astral = "{% set s = ('\uD83D\uDE42' + 'abc') * 400000 %}";

    /// <summary>Two lists that contain the pair before forty times: without counting, comparing them takes 2^40 steps.</summary>
    private const string Shared = "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}";
    private const string SharedTuples = "{% set ns = namespace(a=(1,), b=(1,)) %}{% for i in range(60) %}{% set ns.a = (ns.a, ns.a) %}{% set ns.b = (ns.b, ns.b) %}{% endfor %}";
    private const string SharedDicts = "{% set ns = namespace(a={'k': 1}, b={'k': 1}) %}{% for i in range(60) %}{% set ns.a = {'x': ns.a, 'y': ns.a} %}{% set ns.b = {'x': ns.b, 'y': ns.b} %}{% endfor %}";

    private static readonly (string Name, string Source)[] Attacks =
    [
        ("equal lists", Shared + "{{ ns.a == ns.b }}"),
        ("unequal lists", Shared + "{{ ns.a != ns.b }}"),
        ("equal tuples", SharedTuples + "{{ ns.a == ns.b }}"),
        ("equal dicts", SharedDicts + "{{ ns.a == ns.b }}"),
        ("less lists", Shared + "{{ ns.a < ns.b }}"),
        ("greater or equal lists", Shared + "{{ ns.a >= ns.b }}"),
        ("in a list", Shared + "{{ ns.a in [ns.b] }}"),
        ("not in a list", Shared + "{{ ns.a not in [ns.b] }}"),
        ("in test", Shared + "{{ ns.a is in [ns.b] }}"),
        ("eq test", Shared + "{{ ns.a is eq ns.b }}"),
        ("lt test", Shared + "{{ ns.a is lt ns.b }}"),
        ("index of a list", Shared + "{{ [ns.b].index(ns.a) }}"),
        ("count of a list", Shared + "{{ [ns.b].count(ns.a) }}"),
        ("sort lists", Shared + "{{ [ns.a, ns.b] | sort | length }}"),
        ("max lists", Shared + "{{ [ns.a, ns.b] | max | length }}"),
        ("min lists", Shared + "{{ [ns.a, ns.b] | min | length }}"),
        ("group by lists", Shared + "{{ [{'k': ns.a}, {'k': ns.b}] | groupby('k') | length }}"),
        ("select equal", Shared + "{{ [ns.a] | select('eq', ns.b) | list | length }}"),
        ("changed", Shared + "{% for x in [ns.a, ns.b] %}{{ loop.changed(x) }}{% endfor %}"),
        ("tuple as a key", SharedTuples + "{{ {ns.a: 1} | length }}"),
        ("tuple key looked up", SharedTuples + "{{ {1: 1}[ns.a] }}"),
        ("tuple key of get", SharedTuples + "{{ {}.get(ns.a) }}"),
        ("tuple key of in", SharedTuples + "{{ ns.a in {1: 1} }}"),
        ("unique tuples", SharedTuples + "{{ [ns.a, ns.b] | unique | list | length }}"),
        ("tuple key of setdefault", SharedTuples + "{% set d = {} %}{{ d.setdefault(ns.a, 1) }}"),
        ("printed", Shared + "{{ ns.a }}"),
        ("to JSON", Shared + "{{ ns.a | tojson }}"),
        ("a dict printed", SharedDicts + "{{ ns.a }}"),
        ("a dict to JSON, sorted", SharedDicts + "{{ ns.a | tojson(sort_keys=true) }}"),
        ("formatted", Shared + "{{ '%s' % (ns.a,) }}"),
        ("joined", Shared + "{{ [ns.a] | join }}"),
        ("concatenated", Shared + "{{ ns.a ~ '' }}"),
        ("nothing but loops", Loop + End),
        ("sum of a range", Loop + "{{ range(100000) | sum }}" + End),
        ("compare long texts", Big + "{% set t = s ~ '' %}" + Loop + "{% if s == t %}{% endif %}" + End),
        ("order long texts", Big + "{% set t = s ~ '' %}" + Loop + "{% if s < t %}{% endif %}" + End),
        ("strip", "{% set s = ' ' * 3000000 + 'a' + ' ' * 3000000 %}" + Loop + "{% if s.strip() %}{% endif %}" + End),
        ("trim", "{% set s = ' ' * 3000000 %}" + Loop + "{% if s | trim %}{% endif %}" + End),
        ("strip characters", "{% set s = 'a' * 3000000 %}{% set c = 'bcdefgh' * 10000 + 'a' %}" + Loop + "{% if s.strip(c) %}{% endif %}" + End),
        ("strip beyond the basic plane", Astral + Loop + "{% if s.strip('\uD83D\uDE43') %}{% endif %}" + End),
        ("upper", Big + Loop + "{% if s.upper() %}{% endif %}" + End),
        ("upper filter", Big + Loop + "{% if s | upper %}{% endif %}" + End),
        ("lower", Big + Loop + "{% if s.lower() %}{% endif %}" + End),
        ("title", Big + Loop + "{% if s | title %}{% endif %}" + End),
        ("capitalize", Big + Loop + "{% if s | capitalize %}{% endif %}" + End),
        ("swapcase", Big + Loop + "{% if s.swapcase() %}{% endif %}" + End),
        ("isalpha", Big + Loop + "{% if s.isalpha() %}{% endif %}" + End),
        ("islower test", Big + Loop + "{% if s is lower %}{% endif %}" + End),
        ("length", Astral + Loop + "{% if s | length %}{% endif %}" + End),
        ("index of a character", Astral + Loop + "{% if s[400000] %}{% endif %}" + End),
        ("last character", Astral + Loop + "{% if s[-1] %}{% endif %}" + End),
        ("slice", Astral + Loop + "{% if s[1:] %}{% endif %}" + End),
        ("slice of units", Big + Loop + "{% if s[1:] %}{% endif %}" + End),
        ("reversed slice", Big + Loop + "{% if s[::-1] %}{% endif %}" + End),
        ("reverse", Big + Loop + "{% if s | reverse %}{% endif %}" + End),
        ("characters", Big + Loop + "{% for c in s %}{% break %}{% endfor %}" + End),
        ("first", Big + Loop + "{% if s | first %}{% endif %}" + End),
        ("last", Big + Loop + "{% if s | last %}{% endif %}" + End),
        ("list of characters", Big + Loop + "{% if s | list %}{% endif %}" + End),
        ("find", "{% set s = 'ab' * 1000000 %}{% set t = 'ab' * 500000 + 'c' %}" + Loop + "{% if s.find(t) %}{% endif %}" + End),
        ("find in the product of both lengths", "{% set s = 'a' * 4000000 %}{% set t = 'a' * 20000 + 'b' + 'a' * 20000 %}{{ t in (s + 'b') }}" + Loop + "{% if t in s %}{% endif %}" + End),
        ("rfind", "{% set s = 'a' * 4000000 %}{% set t = 'a' * 20000 + 'b' + 'a' * 20000 %}" + Loop + "{% if s.rfind(t) %}{% endif %}" + End),
        ("count", Big + Loop + "{% if s.count('p') %}{% endif %}" + End),
        ("replace", Big + Loop + "{% if s.replace('z', 'y') %}{% endif %}" + End),
        ("replace nothing", Big + Loop + "{% if s.replace('', 'y') %}{% endif %}" + End),
        ("split", Big + Loop + "{% if s.split('a') %}{% endif %}" + End),
        ("split at spaces", "{% set s = 'a ' * 1000000 %}" + Loop + "{% if s.split() %}{% endif %}" + End),
        ("rsplit", Big + Loop + "{% if s.rsplit('a') %}{% endif %}" + End),
        ("splitlines", "{% set s = '\\n' * 1000000 %}" + Loop + "{% if s.splitlines() %}{% endif %}" + End),
        ("partition", Big + Loop + "{% if s.partition('z') %}{% endif %}" + End),
        ("startswith", Big + "{% set t = s ~ '' %}" + Loop + "{% if s.startswith(t) %}{% endif %}" + End),
        ("endswith", Big + "{% set t = s ~ '' %}" + Loop + "{% if s.endswith((t, t, t)) %}{% endif %}" + End),
        ("center", Loop + "{% if 'a'.center(1000000) %}{% endif %}" + End),
        ("zfill", Loop + "{% if 'a'.zfill(1000000) %}{% endif %}" + End),
        ("expandtabs", "{% set s = '\\t' * 1000 %}" + Loop + "{% if s.expandtabs(10000) %}{% endif %}" + End),
        ("indent", "{% set s = 'a\\n' * 10000 %}" + Loop + "{% if s | indent(1000) %}{% endif %}" + End),
        ("wordcount", Big + Loop + "{% if s | wordcount %}{% endif %}" + End),
        ("truncate", Big + Loop + "{% if s | truncate(10) %}{% endif %}" + End),
        ("escape", "{% set s = '<' * 1000000 %}" + Loop + "{% if s | e %}{% endif %}" + End),
        ("int", "{% set s = '1' * 1000 %}" + Loop + "{% if s | int %}{% endif %}" + End),
        ("float", "{% set s = '1' * 1000000 %}" + Loop + "{% if s | float %}{% endif %}" + End),
        ("power", Loop + "{% if 2 ** 4000 %}{% endif %}" + End),
        ("large product", "{% set b = 2 ** 2000 %}" + Loop + "{% if b * b %}{% endif %}" + End),
        ("large number printed", "{% set b = 2 ** 4000 %}" + Loop + "{% if b ~ '' %}{% endif %}" + End),
        ("large number in bits", "{% set b = 2 ** 4000 %}" + Loop + "{% if '{:b}'.format(b) %}{% endif %}" + End),
        ("wide format", Loop + "{% if '%9999s' % 'a' %}{% endif %}" + End),
        ("exact format", Loop + "{% if '%.300f' % 0.1 %}{% endif %}" + End),
        ("format of braces", "{% set f = '{}' * 100000 %}" + Loop + "{% if f.format(*range(100000)) %}{% endif %}" + End),
        ("strftime", "{% set f = '%Y' * 100000 %}" + Loop + "{% if strftime_now(f) %}{% endif %}" + End),
        ("from JSON", "{% set t = '[' + '[],' * 400000 + '1]' %}" + Loop + "{% if t | from_json %}{% endif %}" + End),
        ("to JSON of a text", Big + Loop + "{% if s | tojson %}{% endif %}" + End),
        ("indented JSON", Loop + "{% if [[[[[1]]]]] | tojson(indent=1000) %}{% endif %}" + End),
        ("printed text in a list", Big + Loop + "{% if [s] | string %}{% endif %}" + End),
        ("list doubled", "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}"),
        ("list repeated", Loop + "{% if [1] * 1000000 %}{% endif %}" + End),
        ("list extended by itself", "{% set l = [1] %}{% for i in range(60) %}{{ l.extend(l) }}{% endfor %}"),
        ("text doubled", "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"),
        ("text joined to itself", "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"),
        ("texts kept", "{% set l = [] %}" + Loop + "{{ l.append('a' * 1000) or '' }}" + End),
        ("output", Loop + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + End),
        ("captured output", Loop + "{% set x %}{{ 'a' * 100000 }}{% endset %}" + End),
        ("dictionary of many", "{% set d = {} %}" + Loop + "{{ d.update({(i, j): 1}) or '' }}" + End),
        ("keys that collide in a table of primes", "{% set d = {} %}" + Loop + "{{ d.update({(i * 100000 + j) * 1000003 * 4294967296: 1}) or '' }}" + End),
        ("keys of one rounded value", "{% set d = {} %}" + Loop + "{{ d.update({2 ** 100 + i * 100000 + j: 1}) or '' }}" + End),
        ("keys that are no number", "{% set d = {} %}" + Loop + "{{ d.update({('nan' | float): 1}) or '' }}" + End),
        ("items of a large dictionary", "{% set d = {} %}{% for i in range(20000) %}{{ d.update({i: i}) or '' }}{% endfor %}" + Loop + "{% if d.items() %}{% endif %}" + End),
        ("pop of the first key", "{% set d = {} %}{% for i in range(100000) %}{{ d.update({i: i}) or '' }}{% endfor %}{% for i in range(100000) %}{{ d.pop(i) }}{% endfor %}" + Loop + End),
        ("sort by an attribute", "{% set l = [{'k': 'a' * 100000}] * 100 %}" + Loop + "{% if l | sort(attribute='k') %}{% endif %}" + End),
        ("unique of long texts", "{% set l = ['A' * 100000] * 100 %}" + Loop + "{% if l | unique | list %}{% endif %}" + End),
        ("batch filled", Loop + "{% if [1] | batch(1000000, 0) | list %}{% endif %}" + End),
        ("slices", "{% set l = range(1000) | list %}" + Loop + "{% if l | slice(100000) | list %}{% endif %}" + End),
        ("filters behind filters", "{% set ns = namespace(g=[1]) %}{% for i in range(100000) %}{% set ns.g = ns.g | map('string') %}{% endfor %}{{ ns.g | list }}"),
        ("names by the million", "{% set d = {} %}{% for i in range(100000) %}{{ d.update({'k' ~ i: i}) or '' }}{% endfor %}" + Loop + "{% if dict(**d) %}{% endif %}" + End),
        ("macros that call themselves", "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}"),
        ("macros in a tree", "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"),
        ("macros kept", "{% set l = [] %}" + Loop + "{% macro m() %}{% endmacro %}{{ l.append(m) or '' }}" + End),
        ("loops in loops", "{% for x in range(1000) recursive %}{{ loop(range(1000)) }}{% endfor %}"),
        ("places around places", string.Concat(Enumerable.Repeat("{% with %}", 150)) + Loop + "{{ nothing }}" + End + string.Concat(Enumerable.Repeat("{% endwith %}", 150))),
        ("a very long name", Loop + "{{ " + new string('n', 300_000) + " }}" + End),
        ("a very long member", "{% set d = {} %}" + Loop + "{{ d." + new string('n', 300_000) + " }}" + End),
        ("a list in itself, compared", "{% set a = [] %}{% set b = [] %}{{ a.append(a) }}{{ b.append(b) }}{{ a == b }}"),
        ("a list in itself, printed", "{% set a = [] %}{{ a.append(a) }}{{ a }}"),
        ("a list in itself, to JSON", "{% set a = [] %}{{ a.append(a) }}{{ a | tojson }}"),
    ];

    public static IEnumerable<TestCaseData> Cases => Attacks.Select(attack => new TestCaseData(attack.Source).SetName($"Ends: {attack.Name}"));

    [TestCaseSource(nameof(Cases))]
    public void EndsAtItsBudget(string source) => Assert.That(
        () => ChatTemplate.Parse(source).RenderPlain([]),
        Throws.TypeOf<TemplateException>().With.Message.Matches("steps|bytes of memory|more than|nests too deep|deeper than"));

    [TestCase("{{ a == b }}", 200)]
    [TestCase("{{ a in [b] }}", 200)]
    [TestCase("{{ a < b }}", 1000)]
    [TestCase("{{ {a: 1} | length }}", 4)]
    [TestCase("{{ a | upper | length }}", 3000)]
    [TestCase("{{ a[20000] }}", 100)]
    [TestCase("{{ a.strip() | length }}", 100)]
    public void StepsGrowWithTheWork(string source, long atLeast)
    {
        string text = new('a', 100_000);
        long Steps(string value)
        {
            ChatTemplate.Parse(source).RenderPlain(new JsonObject { ["a"] = value + "x", ["b"] = value + "y" }, out RenderBudget budget);
            return budget.Steps;
        }

        long few = Steps("a"), many = Steps(text);
        Assert.That(many - few, Is.GreaterThanOrEqualTo(Math.Min(atLeast, text.Length / 128)));
    }

    [Test]
    public void ALongConversationStaysFarBelowTheBudget()
    {
        ChatTemplate template = ChatTemplate.Parse(
            "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + (m.content | trim) + '<|im_end|>\\n' }}{% if m.content.startswith('x') %}{% endif %}{% endfor %}");
        TemplateMessage[] messages = [.. Enumerable.Range(0, 2000).Select(i => new TemplateMessage("user", new string('w', 4000)))];
        Assert.That(template.Render(messages), Has.Length.GreaterThan(8_000_000));
    }

    [Test]
    public void CancellingEndsATemplate()
    {
        using var source = new CancellationTokenSource();
        var clock = new CancellingClock(source);
        ChatTemplate template = ChatTemplate.Parse("{{ strftime_now('%Y') }}" + Loop + End, clock);
        Assert.That(() => template.Render([], cancellationToken: source.Token), Throws.InstanceOf<OperationCanceledException>());
    }

    /// <summary>Cancels when the template asks for the time.</summary>
    private sealed class CancellingClock(CancellationTokenSource source) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow()
        {
            source.Cancel();
            return base.GetUtcNow();
        }
    }
}
